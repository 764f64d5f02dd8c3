"""Tables by any keys, main effects, learning curves and the gallery of a grid: two rewards × two editors × two seeds."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from common.errors import BadInput
from common.files import read_json
from experiments.reports.html import thumbnail
from experiments.reports.sweep.effects import main_effects
from experiments.reports.sweep.files import markdown, runs_csv
from experiments.reports.sweep.find import find_runs
from experiments.reports.sweep.gallery import SIDE, gallery_section
from experiments.reports.sweep.latex import escaped, latex, tabular
from experiments.reports.sweep.learning import curve, curves, learning_section
from experiments.reports.sweep.matched import matched_difference, pairs
from experiments.reports.sweep.page import sweep_page
from experiments.reports.sweep.pivot import ALL, Asked, Pivot, pivot
from experiments.reports.sweep.report import FILES, report_sweep
from experiments.reports.sweep.runs import load
from experiments.reports.sweep.summary import Sweep
from experiments.reports.sweep.team import TEAM
from experiments.reports.sweep.terminal import effects_table, pivot_table, runs_tables
from tests.made_up_runs import add_complex, make_run
from tests.pages import faults

LEVELS = {"f1": 0.6, "f1_goal": 0.8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grid")
    for seed in (0, 1):
        for reward, level in LEVELS.items():
            for editor in ("qwen", "sandbox"):
                words = (f"seed={seed}", f"reward={reward}", f"editor={editor}", "scale.strips=2")
                make_run(out / f"main-{reward}-{editor}-{seed}", words, n=12, steps=24, level=level)
    return out


@pytest.fixture(scope="module")
def sweep(folder: Path) -> Sweep:
    return Sweep.of("grid", [load(f, TEAM) for f in find_runs([str(folder)])[0]], TEAM)


def asked(sweep: Sweep, **words: str) -> Pivot:
    table = pivot(sweep, Asked(**words))
    assert table is not None
    return table


def test_a_cell_is_the_mean_over_its_runs_and_seeds(sweep: Sweep) -> None:
    table = asked(sweep, rows="reward", cols="editor", value="after")
    assert table.rows == [("f1",), ("f1_goal",)] and table.cols == [("qwen",), ("sandbox",)] and table.averaged == ()
    for (row, col), cell in table.cells.items():
        own = [
            r.measures["F1 after"]
            for r in sweep.runs
            if (r.choices["reward"],) == row and (r.choices["editor"],) == col
        ]
        assert len(own) == 2 and cell.value == pytest.approx(sum(own) / 2)
        assert cell.low is not None and cell.high is not None and cell.low < cell.value < cell.high
    assert table.marked == {(("f1_goal",), col) for col in table.cols}  # 0.2 apart, each spread 0.1


def test_what_is_not_in_the_table_is_averaged_over_and_said(sweep: Sweep) -> None:
    table = asked(sweep, rows="reward", value="F1 after")
    assert table.cols == [()] and table.label(()) == ALL and table.averaged == ("editor",)
    own = [r.measures["F1 after"] for r in sweep.runs if r.choices["reward"] == "f1"]
    assert table.cells[("f1",), ()].value == pytest.approx(sum(own) / 4)
    assert "Mean over editor, too." in table.note
    seeds = asked(sweep, rows="seed", cols="reward,editor", value="after")
    assert seeds.rows == [("0",), ("1",)] and len(seeds.cols) == 4


def test_any_number_of_the_results_can_be_shown(sweep: Sweep) -> None:
    table = asked(sweep, rows="editor", value="decomposition.after.subject")
    own = [r.results["decomposition"]["after"]["subject"] for r in sweep.runs if r.choices["editor"] == "qwen"]
    assert table.cells[("qwen",), ()].value == pytest.approx(sum(own) / 4)
    assert asked(sweep, value="overall").measure.key == "agents_rl"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"rows": "rewart"}, "'reward'"),
        ({"cols": "editr"}, "'editor'"),
        ({"value": "decomposition.after.subjekt"}, "'decomposition.after.subject'"),
    ],
)
def test_an_unknown_key_names_the_nearest(sweep: Sweep, words: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        pivot(sweep, Asked(**words))


def test_without_words_there_is_a_table_where_two_keys_differ(sweep: Sweep) -> None:
    table = asked(sweep)
    assert (*table.row_keys, *table.col_keys) == tuple(sweep.keys) and table.measure.key == "agents_rl"
    one = Sweep.of("one", [r for r in sweep.runs if r.choices["editor"] == "qwen"], TEAM)
    assert pivot(one, Asked()) is None and main_effects(one, TEAM.measure("after")) == []


def test_a_main_effect_is_the_mean_over_all_pairs(sweep: Sweep) -> None:
    effects = {e.key: e for e in main_effects(sweep, TEAM.measure("after"))}
    assert set(effects) == {"reward", "editor"} and effects["reward"].pairs == 4
    d = effects["reward"].comparison.difference
    by_reward = {x: [r.measures["F1 after"] for r in sweep.runs if r.choices["reward"] == x] for x in LEVELS}
    assert d is not None
    assert d.samples.value == pytest.approx(sum(by_reward["f1_goal"]) / 4 - sum(by_reward["f1"]) / 4)
    assert d.significant and len(d.seeds) == 4 and d.left_out == 0
    other = effects["editor"].comparison.difference
    assert other is not None and abs(other.samples.value or 0) < 0.1


def test_a_hole_in_the_grid_leaves_its_pair_out(sweep: Sweep) -> None:
    runs = [
        r for r in sweep.runs if not (r.seed == 1 and r.choices["editor"] == "qwen" and r.choices["reward"] == "f1")
    ]
    effects = {e.key: e for e in main_effects(Sweep.of("hole", runs, TEAM), TEAM.measure("after"))}
    assert effects["reward"].pairs == effects["editor"].pairs == 3


def test_pairs_are_alike_in_everything_else(sweep: Sweep) -> None:
    first, second = ([r for r in sweep.runs if r.choices["reward"] == x] for x in LEVELS)
    found = pairs(first, second, ["editor"])
    assert len(found) == 4
    assert all((a.seed, a.choices["editor"]) == (b.seed, b.choices["editor"]) for a, b in found)
    assert matched_difference(first, [], TEAM.measure("after"), ["editor"]) is None


def test_a_head_is_stacked_and_no_word_of_it_is_cut(folder: Path) -> None:
    longer = replace(TEAM, measures=tuple(replace(m, heading=f"{m.heading}, complex") for m in TEAM.measures))
    sweep = Sweep.of("x", [load(f, longer) for f in find_runs([str(folder)])[0]], longer)
    heads = [str(column.header) for table in runs_tables(sweep) for column in table.columns]
    assert "F1\nbefore,\ncomplex" in heads


def test_samples_of_the_other_split_are_not_counted_as_left_out(folder: Path, tmp_path: Path) -> None:
    runs = []
    for seed in (0, 1):
        run = make_run(tmp_path / f"main-{seed}", (f"seed={seed}", "scale.strips=0"), n=12, steps=2)
        add_complex(run)
        runs.append(load(run, TEAM))
    by_question = {c.question: c.difference for c in Sweep.of("x", runs, TEAM).comparisons}
    change, complex_change = (
        by_question["mean F1, after − before RL"],
        by_question["mean F1, after − before RL, complex"],
    )
    pictures = by_question["team after RL − team before RL, complex"]
    assert change is not None and complex_change is not None and pictures is not None
    assert (change.left_out, change.samples.n) == (0, 12) and (complex_change.left_out, complex_change.samples.n) == (
        0,
        8,
    )
    assert (pictures.left_out, pictures.samples.n) == (0, 4)  # pictures of half of them were to be made
    invalid = by_question["team after RL − editor alone"]
    assert invalid is not None and (invalid.left_out, invalid.samples.n) == (2, 11)


def test_the_band_goes_from_the_lowest_seed_to_the_highest() -> None:
    c = curve("x", [{1: 0.0, 2: 1.0, 3: 2.0}, {1: 1.0, 2: 1.0}])
    assert (c.steps, c.mean, c.low, c.high, c.seeds) == (
        [1, 2, 3],
        [0.5, 1.0, 2.0],
        [0.0, 1.0, 2.0],
        [1.0, 1.0, 2.0],
        2,
    )


def test_learning_curves_of_every_configuration(sweep: Sweep, tmp_path: Path) -> None:
    found = curves(sweep, "metrics.jsonl", "reward/mean")
    assert len(found) == 4 and all(c.seeds == 2 and c.steps == list(range(1, 25)) for c in found)
    assert all(low <= m <= high for c in found for low, m, high in zip(c.low, c.mean, c.high, strict=True))
    html = "".join(learning_section(sweep))
    assert html.count("<svg") == 3 and "Reward" in html
    same = {key: sweep.groups[next(iter(sweep.groups))] for key in list(sweep.groups)[:3]}
    (one,) = curves(Sweep(**{**vars(sweep), "groups": same}), "metrics.jsonl", "reward/mean")
    assert one.name.endswith("(and 2 more with the same values)")


def test_the_gallery_shows_the_same_samples_in_every_configuration(sweep: Sweep) -> None:
    html = "".join(gallery_section(sweep))
    assert html.count('class="strip"') == 2 and html.count("<img") == 2 * (1 + 4)
    for needle in ("test-0", "reward f1_goal", "change the color of the red star to blue", "&lt;the&gt;"):
        assert needle in html
    one = Sweep.of("one", sweep.runs[:1], TEAM)
    assert gallery_section(one) == []


def test_a_large_picture_is_made_small(tmp_path: Path) -> None:
    Image.new("RGB", (1024, 512), (200, 30, 30)).save(tmp_path / "a.png")
    html = thumbnail(tmp_path / "a.png", "a red one", SIDE)
    assert "image/jpeg" in html and len(html) < 20_000 and SIDE < 1024


def test_the_page_keeps_what_every_page_does(sweep: Sweep) -> None:
    table = asked(sweep, rows="reward", cols="editor", value="after")
    html = sweep_page(sweep, table, main_effects(sweep, table.measure))
    assert faults(html) == []
    for needle in ("F1 after by reward, editor", "Main effects", "Learning curves", "The same samples", "†"):
        assert needle in html


def test_latex_is_balanced_and_escaped(sweep: Sweep) -> None:
    table = asked(sweep, rows="reward", cols="editor", value="after")
    text = latex(sweep, table, main_effects(sweep, table.measure))
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 3
    printed = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert r"f1\_goal" in text and r"$^\dagger$" in text and "→" not in printed and "–" not in printed
    for block in re.findall(r"\\midrule\n(.*?)\n\\bottomrule", text, re.DOTALL):
        assert len({re.sub(r"\\&", "", line).count("&") for line in block.splitlines()}) == 1
    assert escaped("a_b & 5 % {x} #1 \\ $") == r"a\_b \& 5 \% \{x\} \#1 \textbackslash{} \$"
    assert r"a\_b & 1 \\" in tabular(["k", "v"], [["a_b", "1"]], 1)


def test_the_files_to_paste(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = find_runs([str(folder)])[0]
    report_sweep(runs, tmp_path, asked=Asked(rows="reward", cols="editor"))
    assert {p.name for p in tmp_path.iterdir()} == set(FILES)
    assert "team after RL by reward, editor" in capsys.readouterr().out
    read = list(csv.DictReader((tmp_path / "runs.csv").read_text(encoding="utf-8").splitlines()))
    assert len(read) == 8 and {r["reward"] for r in read} == set(LEVELS)
    results = read_json(Path(read[0]["run"]) / "results.json")
    assert float(read[0]["arms.agents_rl.sandbox.overall"]) == pytest.approx(
        results["arms"]["agents_rl"]["sandbox"]["overall"], rel=1e-5
    )
    where = [r["where"] for r in csv.DictReader((tmp_path / "sweep.csv").read_text(encoding="utf-8").splitlines())]
    assert {"reward", "editor"} <= set(where)
    assert "main effect" in (tmp_path / "sweep.md").read_text(encoding="utf-8")


def test_terminal_tables_hold_80_columns(sweep: Sweep) -> None:
    from rich.console import Console

    table = asked(sweep, rows="reward", cols="editor", value="after")
    console = Console(width=80, record=True, file=io.StringIO())
    effects = effects_table(main_effects(sweep, table.measure))
    assert effects is not None
    for printed in (pivot_table(table), effects):
        console.print(printed)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text and "f1_goal" in text


def test_markdown_and_csv_of_one_configuration(sweep: Sweep) -> None:
    one = Sweep.of("one", sweep.runs[:1], TEAM)
    assert "main effect" not in markdown(one, pivot(one, Asked())) and len(runs_csv(one).splitlines()) == 2
