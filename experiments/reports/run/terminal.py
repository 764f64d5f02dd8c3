"""Tables for the terminal: arms by aspect with 95 % intervals, paired differences, the decomposition before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.cells import Cell, remarks
from common.progress import console
from common.statistics import Difference
from experiments.evaluation.names import ARM_NAMES, COMPONENTS, SHOWN, WHEN
from experiments.reports.kinds import print_kinds
from experiments.reports.looks import SHORT_NAMES
from experiments.reports.run.numbers import (
    aspects,
    calls_note,
    decomposition_rows,
    differences,
    f1_cells,
    f1_change,
    mean_of,
)
from experiments.reports.screen import print_line, show_table
from experiments.runs.results import Evaluation


def interval(cell: Cell, digits: int = 2) -> Text:
    """The mean, and under it the interval, so that a table fits into 80 columns."""
    value, under = cell.parts(digits)
    return Text(value + "\n").append(under.strip("[]").replace(", ", "–"), "dim") if under else Text(value)


def gap(label: str, d: Difference, what: str, digits: int = 2, family: bool = True) -> Text:
    """A line for a paired difference; bold where it is significant after the correction for the `family` of questions."""
    text = Text(f"{label}: ").append(d.cell.text(digits, sign=True), "bold" if d.significant else "")
    p = "" if d.adjusted is None else f", p {d.adjusted:.2g}{' (Holm)' if family else ''}"
    return text.append(f" {what}, paired{p}")


def print_remarks(cells: Iterable[Cell]) -> None:
    """What the stars of a table point to."""
    for line in remarks(cells):
        print_line(line)


def arms_table(evaluation: Evaluation) -> Table | None:
    names = [a for a in SHOWN if evaluation.arms.get(a)]
    if not names:
        return None
    scored = aspects(evaluation.arms[names[0]])
    table = Table(
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        title=f"Arms on {len(evaluation.arms[names[0]])} {evaluation.what}: 0–10, mean and 95 % interval"
        + (f"\napproximate: {', '.join(evaluation.approximate)}" if evaluation.approximate else ""),
    )
    table.add_column("arm", no_wrap=True)
    for name in scored:
        table.add_column(name.replace("_", " "), justify="right")  # a head of two words may be broken
    if any(not r["valid"] for a in names for r in evaluation.arms[a]):
        table.add_column("invalid", justify="right")
    for arm in names:
        invalid = sum(not r["valid"] for r in evaluation.arms[arm])
        cells = [interval(mean_of(evaluation.arms[arm], aspect)) for aspect in scored]
        table.add_row(SHORT_NAMES[arm], *cells, *([str(invalid)] if invalid else []))
    return table


def decomposition_table(evaluation: Evaluation) -> Table:
    """F1 of every component, over all samples."""
    rows = evaluation.decompositions
    n = len(rows["after"]) or len(rows["before"])
    table = Table(
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        title=f"Decomposition on {n} {evaluation.what}: F1, mean and 95 % interval",
    )
    table.add_column("", no_wrap=True)
    table.add_column("mean F1", justify="right", no_wrap=True)
    for name in COMPONENTS:
        table.add_column(name, justify="right", no_wrap=True)
    for label, part in decomposition_rows(rows):
        table.add_row(label, *map(interval, f1_cells(part)))
    return table


def print_arms(evaluation: Evaluation, said: str = "") -> None:
    """The arms on one split, their differences, and what the stars stand for; nothing where no arm was run. `said`: the note on
    calls that stands under the table before."""
    if (table := arms_table(evaluation)) is None:
        return
    show_table(table)
    gaps = differences(evaluation)
    for a, b, diff in gaps:
        print_line(gap(f"{ARM_NAMES[a]} − {ARM_NAMES[b]}", diff, "overall"))
    cells = [mean_of(rows, a) for rows in evaluation.arms.values() for a in aspects(rows)]
    print_remarks(cells + [d.cell for _, _, d in gaps])
    note = calls_note(evaluation)
    if note and note != said:
        print_line(note)
    console.print()


def print_decompositions(evaluation: Evaluation) -> None:
    """F1 of every component, the change by RL, and each split by kind of request."""
    show_table(decomposition_table(evaluation))
    before, after = (evaluation.decompositions[w] for w in WHEN)
    change = f1_change(before, after) if before and after else None
    if change is not None:
        print_line(gap("after − before RL", change, "mean F1", 3, family=False))
    changed = [change.cell] if change is not None else []
    print_remarks([c for _, part in decomposition_rows(evaluation.decompositions) for c in f1_cells(part)] + changed)
    for _, part in evaluation.splits:
        console.print()
        scores = part.decomposition()
        print_kinds(scores, f"{scores['n']:,} {part.what}")


def print_results(folder: Path, values: Mapping[str, Any]) -> None:
    """What a run prints at its end."""
    evaluation = Evaluation.load(folder)
    console.print()
    for split, part in evaluation.splits:
        print_arms(part, calls_note(evaluation) if split else "")
    if any(evaluation.decompositions.values()):  # a closed loop answers no request as a whole
        print_decompositions(evaluation)
    console.print()
    times = values["time_s"]
    console.print(
        f"results: {folder / 'results.json'}   training {times['train']:.0f} s, evaluation {times['evaluate']:.0f} s",
        soft_wrap=True,
    )


__all__ = ["arms_table", "decomposition_table", "gap", "interval", "print_remarks", "print_results"]
