"""Reports on a terminal of 80 columns: nothing is cut, no interval is broken, titles are as wide as the terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from common.cells import Cell
from experiments.reports import screen
from experiments.reports.evaluation import terminal as evaluation_terminal
from experiments.reports.run.terminal import arms_table, decomposition_table
from experiments.reports.screen import print_line, show_table
from experiments.runs.results import Evaluation
from tests.made_up_runs import make_run

NUMBER = re.compile(r"[+-]?\d+\.\d+")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    monkeypatch.setattr(screen, "console", console)
    monkeypatch.setattr(evaluation_terminal, "console", console)
    return console


def test_a_title_is_not_broken_at_the_width_of_its_table(narrow: Console) -> None:
    table = Table("a", "b", title="A title that is much wider than this narrow table")
    table.add_row("1", "2")
    show_table(table)
    assert narrow.export_text().splitlines()[0] == table.title


def test_a_long_line_goes_on_below_its_first_word_and_no_interval_is_broken(narrow: Console) -> None:
    for before in range(40, 80):
        print_line(f"{'x' * before}: +0.42* [-0.55, +0.14] overall, paired")
    lines = narrow.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("    " if not line.startswith("  x") else "  x") for line in lines)
    assert sum("+0.42* [-0.55, +0.14]" in line for line in lines) == 40


def test_the_tables_of_a_run_fit_into_80_columns(narrow: Console, tmp_path: Path) -> None:
    evaluation = Evaluation.load(make_run(tmp_path / "main", n=12, steps=2))
    wide = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    arms = arms_table(evaluation)
    assert arms is not None
    for table in (arms, decomposition_table(evaluation)):
        show_table(table)
        wide.print(table)
    text = narrow.export_text()
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    assert sorted(NUMBER.findall(text)) == sorted(NUMBER.findall(wide.export_text()))


def test_metrics_without_a_judge_fit_into_80_columns_for_five_arms(narrow: Console) -> None:
    cell = Cell(14.349, 9.967, 18.747, 24).as_dict()
    arms = {arm: {"psnr@source": cell} for arm in ("editor", "editor_chance", "editor_best", "agents", "agents_rl")}
    evaluation_terminal.print_metrics("folder", arms)
    text = narrow.export_text()
    assert "Benchmark folder: metrics without a judge" in text and "ranks no editor by itself" in text
    assert max(map(len, text.splitlines())) <= 80 and text.count("14.349") == text.count("9.967–18.747") == 5
