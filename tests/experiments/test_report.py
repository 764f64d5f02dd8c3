"""Reports from a run's files: everything in them, self-contained, several runs side by side."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from common.errors import MissingFile
from common.files import read_json
from common.jsonl import Journal, read_jsonl
from experiments.evaluation.core import decomposition_section
from experiments.evaluation.load import load as load_sections
from experiments.evaluation.names import COMPONENTS
from experiments.report import main
from experiments.reports import screen
from experiments.reports.evaluation import decomposition as evaluated
from experiments.reports.run.numbers import f1_change
from experiments.reports.run.page import write_report
from experiments.reports.run.terminal import print_results
from experiments.reports.sweep.find import find_runs
from experiments.reports.sweep.runs import differing, grouped, load
from experiments.reports.sweep.summary import over
from experiments.reports.sweep.team import TEAM
from experiments.runs.identity import load_config
from experiments.runs.results import Evaluation, results
from tests.made_up_runs import add_variants, make_run

VOID = {"meta", "img", "br", "link", "path", "use", "circle", "line", "rect"}


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_results_have_the_format_of_the_design(finished_run: Path) -> None:
    values = read_json(finished_run / "results.json")
    assert set(values["decomposition"]["before"]) == set(COMPONENTS) == set(values["decomposition"]["after"])
    assert set(values["arms"]) == {"editor", "agents", "agents_rl"}
    editor = values["arms"]["editor"]["sandbox"]
    assert (editor["n"], editor["invalid"]) == (40, 1) and "overall" in editor and "fulfilment" in editor
    assert values["time_s"] == {"train": pytest.approx(44.0), "evaluate": 1.5}
    assert (values["scale"], values["reward"], values["execution"], values["seed"]) == ("tiny", "f1_goal", "single", 0)


def test_a_report_holds_everything_and_nothing_from_elsewhere(finished_run: Path) -> None:
    text = write_report(finished_run).read_text(encoding="utf-8")
    page = Balanced()
    page.feed(text)
    assert page.open == []
    assert page.seen.count("svg") >= 8 and page.seen.count("img") == 12 * 4
    assert "script" not in page.seen and not re.search(r'(src|href)="(?!data:|#)', text)
    assert text.count('class="strip"') == 12
    for needle in (
        "team after RL − team before RL",
        "mean F1",
        "Entropy",
        "KL to the start",
        "unreadable decomposition",
    ):
        assert needle in text
    assert write_report(finished_run).read_text(encoding="utf-8") == text  # the same run gives the same report
    assert "make &lt;the&gt;" in text  # what users wrote is text, never markup


def test_a_sweep_is_grouped_by_what_differs_and_averaged_over_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for seed in (0, 1):
        for reward in ("f1", "f1_goal"):
            make_run(
                tmp_path / f"main-{reward}{seed}", (f"seed={seed}", f"reward={reward}", "scale.strips=0"), n=8, steps=2
            )
    folders, out, _ = find_runs([str(tmp_path)])
    runs = [load(f, TEAM) for f in folders]
    assert differing(runs) == ["reward"]
    groups = grouped(runs, ["reward"])
    assert {k: len(v) for k, v in groups.items()} == {("f1",): 2, ("f1_goal",): 2}
    pair = groups[("f1",)]
    assert over(pair, TEAM.measure("after")).value == pytest.approx(sum(r.measures["F1 after"] for r in pair) / 2)
    main([str(tmp_path)])
    assert "f1_goal" in capsys.readouterr().out
    assert (out / "sweep.html").is_file() and out == tmp_path


def test_a_sweeps_list_of_runs_is_followed_and_unfinished_ones_are_left_out(tmp_path: Path) -> None:
    done = make_run(tmp_path / "main-1", ("scale.strips=0",), n=8, steps=2)
    half = make_run(tmp_path / "main-2", ("seed=1", "scale.strips=0"), n=8, steps=2)
    (half / "results.json").unlink()
    sweep = tmp_path / "sweeps" / "run-1"
    sweep.mkdir(parents=True)
    (sweep / "runs.txt").write_text(f"{done}\n{half}\n")
    runs, out, absent = find_runs([str(sweep)])
    assert (runs, out) == ([done], sweep) and len(absent) == 1 and f"{half}: not finished" in absent[0]
    with pytest.raises(MissingFile, match="no finished run"):
        find_runs([str(half)])
    with pytest.raises(MissingFile, match="no folder"):
        find_runs([str(tmp_path / "none")])


def test_categories_are_reported_apart(finished_run: Path) -> None:
    path = finished_run / "sandbox" / "items.jsonl"
    items = [r | {"kind": ("cm", "cu")[r["unit"] % 2]} for r in read_jsonl(path)]
    path.unlink()
    Journal(path).append(items)
    result = results(finished_run, load_config(finished_run))["decomposition"]
    assert set(result["by_category"]) == {"cm", "cu"} and set(result["by_category"]["cm"]) == set(COMPONENTS)


def test_the_editors_equal_calls_stand_beside_the_arms(finished_run: Path, capsys: pytest.CaptureFixture) -> None:
    assert "one call of the editor per sample" in write_report(finished_run).read_text(encoding="utf-8")
    low = {"scores": {a: 1.0 for a in ("overall", "fulfilment")}, "valid": True, "reason": ""}
    high = {"scores": {a: 4.0 for a in ("overall", "fulfilment")}, "valid": True, "reason": ""}
    add_variants(finished_run, [[low, high | {"valid": i != 3}] for i in range(40)])
    result = results(finished_run, load_config(finished_run))["arms"]
    assert result["editor_best"]["sandbox"] == {
        "overall": pytest.approx((39 * 4 + 1) / 40), "fulfilment": pytest.approx((39 * 4 + 1) / 40),
        "n": 40, "invalid": 0, "calls": 2.0,
    }  # fmt: skip
    assert result["editor_chance"]["sandbox"]["overall"] == pytest.approx((39 * 2.5 + 1) / 40)
    text = write_report(finished_run).read_text(encoding="utf-8")
    page = Balanced()
    page.feed(text)
    assert page.open == [] and "upper bound" in text
    for needle in ("k calls, by chance", "team after RL − editor alone, k calls, best by the judge"):
        assert needle in text
    print_results(finished_run, read_json(finished_run / "results.json"))
    assert "best by judge" in capsys.readouterr().out


def test_an_evaluation_prints_the_paired_difference_of_mean_f1_that_a_run_prints(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = load_sections(finished_run)
    values = decomposition_section(sections, "sandbox")
    rows = Evaluation.load(finished_run).decompositions
    own = f1_change(rows["before"], rows["after"])
    (change,) = values["f1_change"].values()
    assert (change["value"], change["low"], change["p"]) == pytest.approx((own.cell.value, own.cell.low, own.p))
    said = io.StringIO()
    monkeypatch.setattr(screen, "console", Console(file=said, width=100))
    evaluated.print_decompositions(values)
    assert f"after − before RL: {own.cell.text(3, sign=True)} mean F1, paired, p" in said.getvalue()
    page = "".join(evaluated.decomposition_part(values))
    assert "paired difference in mean F1" in page and own.cell.parts(3, sign=True)[0] in page
