"""The tables by kind: what they say, in 80 columns, on the terminal and on the pages of runs; the complex requests beside them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from common.cells import Cell
from common.files import read_json, write_json
from experiments.reports import kinds, screen
from experiments.reports.run import terminal
from experiments.reports.run.page import write_report
from experiments.reports.sweep.comparisons import unfit
from experiments.reports.sweep.kinds import over_seeds
from experiments.reports.sweep.report import report_sweep
from experiments.reports.sweep.team import TEAM
from experiments.runs.identity import load_config
from experiments.runs.results import Evaluation, results
from tests.made_up_runs import add_complex, make_run

MEANS = {"format": 1.0, "action": 0.9, "subject": 0.6, "goal": 0.9, "linked": 0.5, "exact": 0.3}
GAP = Cell(-0.123, -0.234, -0.012, 50, note="a remark").as_dict() | {"p": 0.01, "p_holm": 0.04, "test": ""}


def entry(**more: Any) -> dict[str, Any]:
    change = dict.fromkeys(("mean_f1", "subject", "linked", "exact", "exact_over_pass"), GAP)
    before, after = MEANS | {"pass1": 0.25, "pass8": 0.52}, MEANS | {"subject": 0.7, "exact": 0.55}
    return {"n": 1000, "before": before, "after": after, "change": change, **more}


SCORES = entry(by_kind={k: entry() for k in ("multi_step", "paraphrased", "indirect", "direct")})


def printed(scores: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> str:
    said = io.StringIO()
    for module in (kinds, screen):
        monkeypatch.setattr(module, "console", Console(file=said, width=80))
    kinds.print_both(scores, "test samples")
    return said.getvalue()


def test_the_tables_fit_into_80_columns_with_nothing_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(SCORES, monkeypatch)
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    assert text.count("0.80 → 0.83") == 5  # mean F1 of every kind, and over all
    assert text.count("0.60 → 0.70") == 5 and text.count("-0.12* [-0.23,-0.01]") == 15
    labels = [line.split()[0] for line in text.splitlines() if line[:2].strip() and line.split()[-1].startswith("0")]
    assert labels == ["all", "direct", "paraphrased", "indirect", "multi-step"]


def test_greedy_pass_at_8_of_the_start_and_rl_stand_side_by_side() -> None:
    heads, rows = kinds.exact_lines(SCORES)
    assert heads == ["start greedy", "start pass@1", "start pass@8", "after RL", "RL − greedy", "RL − pass@8"]
    assert [numbers for _, numbers, _ in rows] == [[0.3, 0.25, 0.52, 0.55]] * 5


def test_without_rl_without_draws_and_without_exact_answers_only_what_is_known_is_shown() -> None:
    before = {"n": 3, "before": MEANS, "after": {}}
    assert kinds.moved(before, "linked") == "0.50"
    assert kinds.exact_lines(before) == (["start greedy"], [("all", [0.3], [])])
    old = {"n": 3, "before": {k: v for k, v in MEANS.items() if k != "exact"}, "after": {}}
    assert kinds.exact_table(old, "3 samples") is None and len(kinds.kinds_section(old)) > 0
    assert kinds.kinds_section({"n": 0, "before": {}, "after": {}}) == []


@pytest.fixture
def with_complex(finished_run: Path) -> Path:
    add_complex(finished_run)
    write_json(finished_run / "results.json", results(finished_run, load_config(finished_run)))
    return finished_run


def test_results_have_the_complex_requests_beside_the_mixed_ones(with_complex: Path) -> None:
    values = read_json(with_complex / "results.json")
    assert values["arms"]["agents_rl"]["sandbox_complex"] == {"overall": 6.0, "fulfilment": 6.0, "n": 4, "invalid": 0}
    beside = values["decomposition"]["complex"]
    assert (beside["n"], beside["before"]["exact"], beside["after"]["exact"]) == (8, 3 / 8, 0.5)
    assert (beside["before"]["pass1"], beside["before"]["pass4"]) == (pytest.approx(1 / 8), 0.5)
    assert beside["change"]["exact"]["value"] == pytest.approx(0.5 - 3 / 8)
    assert beside["change"]["exact_over_pass"]["value"] == pytest.approx(0.0)
    assert set(beside["by_kind"]) == {"indirect", "multi_step"}
    assert values["decomposition"]["n"] == 40 and "pass4" not in values["decomposition"]["before"]


def test_a_run_shows_both_on_the_terminal_and_on_its_page(with_complex: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    for module in (screen, terminal):
        monkeypatch.setattr(module, "console", Console(file=said, width=80))
    terminal.print_results(with_complex, read_json(with_complex / "results.json"))
    text = said.getvalue()
    for needle in ("Arms on 4 complex requests", "F1 of 40 test samples", "Exact answers to 8 complex requests"):
        assert needle in text
    assert "…" not in text
    page = write_report(with_complex).read_text(encoding="utf-8")
    assert page.count("<h3>Complex requests</h3>") == 2 and "start pass@4" in page


def test_a_sweep_measures_and_compares_both_and_means_the_runs_own_benchmark(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / f"main-{s}", (f"seed={s}", "scale.strips=0"), n=8, steps=2) for s in (0, 1)]
    for folder in folders:
        add_complex(folder)
        write_json(folder / "results.json", results(folder, load_config(folder)))
    values = read_json(folders[0] / "results.json")
    own, beside = TEAM.measure("agents_rl").value(values), TEAM.measure("agents_rl, complex").value(values)
    assert own == values["arms"]["agents_rl"]["sandbox"]["overall"] and beside == 6.0
    assert TEAM.measure("after, complex").value(values) == pytest.approx(0.5)
    page = report_sweep(folders, tmp_path).read_text(encoding="utf-8")
    assert "as configured, complex requests" in page and "start pass@4" in page
    assert "team after RL − team before RL, complex" in page and "mean F1, after − before RL, complex" in page


def test_over_seeds_each_sample_is_the_mean_of_its_runs(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / f"main-{s}", (f"seed={s}", "scale.strips=0"), n=8, steps=2) for s in (0, 1)]
    for folder in folders:
        add_complex(folder)
    pair = [Evaluation.load(folder) for folder in folders]
    alone, both = [e.decomposition() for e in pair], over_seeds(pair)
    assert both["n"] == 8
    for name in ("mean_f1", "linked"):
        each = [scores["change"][name]["value"] for scores in alone]
        assert both["change"][name]["value"] == pytest.approx(sum(each) / 2)
    beside = over_seeds([e.complex for e in pair if e.complex is not None])
    assert pair[0].complex is not None and beside == pair[0].complex.decomposition()  # the same rows in both


def test_runs_without_complex_requests_can_still_be_compared(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / f"main-{s}", (f"seed={s}", "scale.strips=0"), n=8, steps=2) for s in (0, 1)]
    add_complex(folders[0])
    pair = [(s, Evaluation.load(folder)) for s, folder in enumerate(folders)]
    assert unfit(pair) == unfit(pair[::-1]) == ""
    add_complex(folders[1], n=6)
    pair = [(s, Evaluation.load(folder)) for s, folder in enumerate(folders)]
    assert "their complex requests differ: one run was tested on 8, another on 6" in unfit(pair)
