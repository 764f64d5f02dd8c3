"""Several runs side by side: what differs, means over seeds and samples, and the files to paste."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from common.cells import Cell
from common.jsonl import read_jsonl
from experiments.reports.sweep.comparisons import Comparison
from experiments.reports.sweep.differences import Difference
from experiments.reports.sweep.files import comparisons_csv, markdown
from experiments.reports.sweep.find import find_runs
from experiments.reports.sweep.page import sweep_page
from experiments.reports.sweep.pivot import Asked, pivot
from experiments.reports.sweep.report import FILES, report_sweep
from experiments.reports.sweep.runs import Run, differing, load
from experiments.reports.sweep.summary import MEANS, SEEDS_ONLY, Sweep, over
from experiments.reports.sweep.team import OVERALL, TEAM
from experiments.reports.sweep.terminal import comparisons_table, mean_tables, runs_tables
from tests.made_up_runs import make_run
from tests.pages import faults

CELL = re.compile(r"(?<!\\)\|")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of two rewards."""
    out = tmp_path_factory.mktemp("sweep")
    for seed in (0, 1):
        for reward in ("f1", "f1_goal"):
            make_run(
                out / f"main-{reward}-{seed}", (f"seed={seed}", f"reward={reward}", "scale.strips=0"), n=12, steps=2
            )
    return out


@pytest.fixture(scope="module")
def sweep(folder: Path) -> Sweep:
    return Sweep.of("made up", [load(f, TEAM) for f in find_runs([str(folder)])[0]], TEAM)


def tables_of(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown text, as rows of cells."""
    blocks = [[line for line in block.splitlines() if line.startswith("|")] for block in text.split("\n\n")]
    return [[CELL.split(line)[1:-1] for line in block] for block in blocks if block]


def test_means_are_over_seeds_with_an_interval_that_covers_samples_too(sweep: Sweep) -> None:
    assert sweep.title == MEANS
    for key, members in sweep.groups.items():
        m = sweep.means[key]["F1 after"]
        seeds = [r.measures["F1 after"] for r in members]
        assert m.value == pytest.approx(sum(seeds) / 2) and m.n == 12
        assert m.low < min(seeds) and max(seeds) < m.high  # the samples' scatter is in it, not that of two seeds alone


def test_without_rows_of_the_same_samples_the_interval_is_over_seeds(folder: Path, tmp_path: Path) -> None:
    runs = [load(f, TEAM) for f in find_runs([str(folder)])[0] if "f1_goal" in f.name]
    bare = [
        Run(r.folder, r.choices, r.seed, r.measures, type(r.evaluation)({"before": [], "after": []}, {})) for r in runs
    ]
    bare_sweep = Sweep.of("bare", bare, TEAM)
    assert bare_sweep.title == SEEDS_ONLY and bare_sweep.comparisons == []
    m = over(bare, TEAM.measure("after"))
    assert m.n == 2 and m.low >= min(r.measures["F1 after"] for r in bare) - 1e-12
    other = make_run(tmp_path / "other", ("seed=2", "reward=f1_goal", "scale.strips=0"), n=8, steps=2)
    mixed = Sweep.of("mixed", [*runs, load(other, TEAM)], TEAM)
    assert mixed.title == SEEDS_ONLY and "test samples differ" in mixed.comparisons[0].refused


def test_the_page_of_a_sweep_keeps_what_every_page_does_and_its_first_table_fits(sweep: Sweep) -> None:
    page = sweep_page(sweep)
    assert faults(page) == [] and page.count('<table class="stacked"') == 1  # intervals below their values
    assert (
        "F1 before, F1 after: mean F1 of the decomposition (0–1)." in page and "team after RL: overall (0–10)." in page
    )
    same = [replace(c, difference=c.difference and replace(c.difference, differing=0)) for c in sweep.comparisons]
    equal = replace(sweep, comparisons=same)
    assert equal.answered == [] and "The same on every test sample, so in no row" in sweep_page(equal)


def test_what_a_named_choice_decides_is_no_choice_of_its_own(folder: Path, tmp_path: Path) -> None:
    runs = [load(f, TEAM) for f in find_runs([str(folder)])[0]]
    assert differing(runs) == ["reward"]
    overridden = load(
        make_run(tmp_path / "o", ("reward=f1", "reward.weights.action=0.9", "seed=0", "scale.strips=0"), n=12, steps=2),
        TEAM,
    )
    assert differing([*runs, overridden]) == ["reward", "reward.weights.action"]  # f1 no longer says which weight


def test_what_a_change_sets_is_one_choice_under_its_name(folder: Path, tmp_path: Path) -> None:
    for change in ("none", "thought", "linked_share"):
        make_run(tmp_path / change, (f"change={change}", "seed=0", "scale.strips=0"), n=12, steps=2)
    runs = [load(tmp_path / c, TEAM) for c in ("none", "thought", "linked_share")]
    assert differing(runs) == ["change"]  # and neither algo.thought_advantage nor the reward with its weights
    sweep = Sweep.of("changes", runs, TEAM)
    table = pivot(sweep, Asked(rows="change"))
    assert table and table.rows == [("none",), ("linked_share",), ("thought",)]
    between = {c.where for c in sweep.comparisons if c.where.startswith("change: ")}
    assert between == {
        "change: none → thought",
        "change: none → linked_share",
    }  # alternatives to one setting, not to each other
    by_hand = load(make_run(tmp_path / "hand", ("reward=f1", "seed=0", "scale.strips=0"), n=12, steps=2), TEAM)
    assert "reward" in differing([*runs, by_hand])  # no change stands for this reward


def test_everything_printed_holds_80_columns(sweep: Sweep) -> None:
    wide = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    narrow = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    comparisons = comparisons_table(sweep)
    assert comparisons is not None
    for printed in (*mean_tables(sweep), *runs_tables(sweep), comparisons):
        for console in (wide, narrow):
            console.print(printed)
    text = narrow.export_text()
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    numbers = re.compile(r"[+-]?\d+\.\d+")
    assert sorted(numbers.findall(text)) == sorted(numbers.findall(wide.export_text()))  # none was cut
    assert "reward: f1 → f1_goal" in text and "seeds 0, 1" in text


def test_markdown_tables_are_well_formed_and_hold_the_numbers(sweep: Sweep) -> None:
    arms, comparisons = tables_of(markdown(sweep))
    for result in (arms, comparisons):
        assert len({len(row) for row in result}) == 1
        assert all(re.fullmatch(r" (:--|--:) ", cell) for cell in result[1])
    assert [c.strip() for c in arms[0][:3]] == ["reward", "seeds", "F1 before"] and len(arms) == 2 + 2
    assert len(comparisons) == 2 + len(sweep.comparisons) == 2 + 2 * 3 + 4
    first = sweep.comparisons[0]
    assert first.difference is not None
    assert f"{first.difference.samples.value:+.2f} [" in comparisons[2][2]


def test_a_bar_or_a_line_break_in_a_choice_does_not_break_a_table(sweep: Sweep) -> None:
    nasty: dict[tuple[str, ...], list[Run]] = {("a|b\nc\\",): next(iter(sweep.groups.values()))}
    means: dict[tuple[str, ...], dict[str, Cell]] = {next(iter(nasty)): next(iter(sweep.means.values()))}
    broken = Sweep("x", sweep.runs, sweep.keys, nasty, sweep.measures, means, sweep.title, [], TEAM)
    (arms,) = tables_of(markdown(broken))
    assert len({len(row) for row in arms}) == 1 and arms[2][0].strip() == r"a\|b c\\"


def test_the_csv_has_one_row_per_comparison(sweep: Sweep) -> None:
    nothing = Cell.empty()
    extra = [
        Comparison("x: a → b", "all questions", "choice", OVERALL, refused="they differ, much"),
        Comparison("x", "y", "RL", OVERALL, Difference(nothing, nothing, {0: float("nan")}, 4)),
    ]
    read = list(csv.DictReader(comparisons_csv([*sweep.comparisons, *extra]).splitlines()))
    assert len(read) == len(sweep.comparisons) + 2
    for row, c in zip(read, sweep.comparisons, strict=False):
        assert c.difference is not None and row["question"] == c.question
        assert float(row["difference"]) == pytest.approx(c.difference.samples.value, rel=1e-4)
        assert float(row["low"]) <= float(row["difference"]) <= float(row["high"]) and row["samples"] in ("11", "12")
    assert read[-2]["refused"] == "they differ, much" and read[-2]["difference"] == ""
    assert read[-1]["difference"] == "" and read[-1]["left_out"] == "4"


def test_a_report_over_a_sweep_writes_its_files_and_the_same_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    runs = find_runs([str(folder)])[0]
    report_sweep(runs, tmp_path)
    files = {p.name: p.read_text(encoding="utf-8") for p in tmp_path.iterdir()}
    assert set(files) == set(FILES)
    assert files["sweep.html"].count("<svg") == 2 + 3 + 3 and "over seeds and samples" in files["sweep.html"]
    assert "2 without a valid value left out" in capsys.readouterr().out
    report_sweep(runs[::-1], tmp_path)
    assert (tmp_path / "sweep.csv").read_text(encoding="utf-8") == files["sweep.csv"]


def test_invalid_verdicts_are_counted(sweep: Sweep, folder: Path) -> None:
    bad = [r for r in read_jsonl(folder / "main-f1-0/sandbox/verdicts/sandbox/editor/0-of-1.jsonl") if not r["valid"]]
    against = [c.difference for c in sweep.comparisons if c.question == "team after RL − editor alone"]
    assert len(bad) == 1 and len(against) == 2
    assert all(d is not None and d.left_out == 2 and d.samples.n == 11 for d in against)  # once in each seed


def test_a_run_named_twice_is_one_run_in_the_order_given(folder: Path) -> None:
    names = [folder / n for n in ("main-f1_goal-1", "main-f1-0")]
    again = folder / "main-f1-0" / ".." / "main-f1_goal-1"
    assert find_runs([*map(str, names), str(again)])[0] == names
