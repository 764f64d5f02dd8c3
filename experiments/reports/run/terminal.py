"""Tables for the terminal: arms by aspect with 95 % intervals, paired differences, the decomposition before and after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.progress import console
from common.statistics import Mean, mean, mean_difference
from experiments.evaluation.names import ARM_NAMES, COMPONENTS, SHOWN, WHEN
from experiments.reports.looks import SHORT_NAMES
from experiments.reports.run.numbers import aspects, calls_note, decomposition_rows, differences, mean_f1, mean_of
from experiments.runs.results import Evaluation


def interval(m: Mean, digits: int = 2) -> Text:
    """The mean, and under it the interval, so that a table fits into 80 columns."""
    value, _, under = m.text(digits).partition("\n")
    return Text(value + "\n").append(under, "dim not bold") if under else Text(value)


def arms_table(evaluation: Evaluation) -> Table | None:
    names = [a for a in SHOWN if evaluation.arms.get(a)]
    if not names:
        return None
    scored = aspects(evaluation.arms[names[0]])
    table = Table(
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1),
        title=f"Arms on {len(evaluation.arms[names[0]])} test samples: 0–10, mean and 95 % interval",
    )
    table.add_column("arm", no_wrap=True)
    for name in scored:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    if any(not r["valid"] for a in names for r in evaluation.arms[a]):
        table.add_column("invalid", justify="right")
    for arm in names:
        invalid = sum(not r["valid"] for r in evaluation.arms[arm])
        cells = [interval(mean_of(evaluation.arms[arm], aspect)) for aspect in scored]
        table.add_row(
            SHORT_NAMES[arm], *cells, *([str(invalid)] if invalid else []), style="bold" if arm == "agents_rl" else None
        )
    return table


def decomposition_table(evaluation: Evaluation) -> Table:
    rows = evaluation.decompositions
    n = len(rows["after"]) or len(rows["before"])
    table = Table(
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1),
        title=f"Decomposition on {n} test samples: F1, mean and 95 % interval",
    )
    table.add_column("", no_wrap=True)
    table.add_column("mean F1", justify="right", no_wrap=True)
    for name in COMPONENTS:
        table.add_column(name, justify="right", no_wrap=True)
    for label, part in decomposition_rows(rows):
        cells = [interval(mean([r["scores"][c] for r in part])) for c in COMPONENTS]
        table.add_row(label, interval(mean(mean_f1(part))), *cells, style="bold" if label.startswith("after") else None)
    return table


def print_results(folder: Path, values: Mapping[str, Any]) -> None:
    """What a run prints at its end."""
    evaluation = Evaluation.load(folder)
    console.print()
    if (table := arms_table(evaluation)) is not None:
        console.print(table)
        for a, b, diff in differences(evaluation):
            console.print(
                f"  {ARM_NAMES[a]} − {ARM_NAMES[b]}: {diff.value:+.2f} [{diff.low:+.2f}, {diff.high:+.2f}] overall, paired"
            )
        if note := calls_note(evaluation):
            console.print(f"  {note}")
        console.print()
    console.print(decomposition_table(evaluation))
    before, after = (evaluation.decompositions[w] for w in WHEN)
    if before and after:
        diff = mean_difference(mean_f1(before), mean_f1(after))
        console.print(f"  after − before RL: {diff.value:+.3f} [{diff.low:+.3f}, {diff.high:+.3f}] mean F1, paired\n")
    times = values["time_s"]
    console.print(
        f"results: {folder / 'results.json'}   training {times['train']:.0f} s, evaluation {times['evaluate']:.0f} s"
    )


__all__ = ["arms_table", "decomposition_table", "interval", "print_results"]
