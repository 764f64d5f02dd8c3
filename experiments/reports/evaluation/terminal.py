"""The tables of an evaluation on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.cells import Cell, remarks
from common.progress import console
from common.statistics import significant
from experiments.evaluation.edit_counts import edit_notes
from experiments.evaluation.names import arm_name
from experiments.reports.evaluation.cells import AVERAGE, cell_of, shown, state
from experiments.reports.evaluation.metrics import metric_notes
from experiments.reports.run.terminal import interval
from experiments.reports.screen import print_line, show_table

AT_MOST = 4  # arms that fit side by side into 80 columns


def print_table(values: Mapping[str, Any]) -> None:
    """One block for each benchmark, so that it fits into a terminal."""
    table = values["table"]
    names = list(dict.fromkeys(c["benchmark"] for c in table["columns"]))
    shown_names = {c["benchmark"]: c["shown"] for c in table["columns"]}
    for name in names:
        columns = [(i, c) for i, c in enumerate(table["columns"]) if c["benchmark"] == name]
        console.print()
        shape = _shape(
            f"Benchmark {shown_names[name]}: overall 0–10, {columns[0][1]['mean']} mean and 95 % interval", "arm"
        )
        for _, column in columns:
            shape.add_column(f"judge {column['title']}", justify="right")
        shape.add_column("items", justify="right", no_wrap=True)
        for row in table["rows"]:
            cells = [row["cells"][i] for i, _ in columns]
            if all(c.get("absent") for c in cells):
                continue
            shape.add_row(row["name"], *map(stacked, cells), str(max(c["n"] for c in cells)))
        show_table(shape)
        print_remarks(
            cell_of(row["cells"][i])
            for row in table["rows"]
            for i, _ in columns
            if state(row["cells"][i]) == "complete"
        )
    for name, measured in values["metrics"].items():
        if name not in names:  # nobody judged: what was measured is all there is to show
            print_metrics(measured.get("shown", name), measured["arms"])
    for row in table["rows"]:
        if row[AVERAGE] is not None and len(table["columns"]) > 1:
            print_line(f"{row['name']}: {row[AVERAGE]:.2f} on average over {len(table['columns'])} columns")
    for name in names:
        for column in values["judges"][name].values():
            for gap in column["differences"]:
                if state(gap) == "complete":
                    text = f"benchmark {shown_names[name]}, judge {column['title']}: {difference(gap)}"
                    print_line(text, style="bold" if significant(gap["p_holm"]) else "")
    for name, counts in values.get("edits", {}).items():
        for note in edit_notes(counts):
            print_line(f"benchmark {shown_names.get(name, name)}, {note}")
    if values["partial"]:
        console.print("[bold]partial[/]: not everything is there yet; the same command goes on")


def print_metrics(name: str, arms: Mapping[str, Any]) -> None:
    """A line for each metric that some arm has values of."""
    keys = [
        k for k in dict.fromkeys(k for cells in arms.values() for k in cells) if any(_n(c, k) for c in arms.values())
    ]
    if not keys:
        return
    console.print()
    several = list(arms.items())
    for n in range(0, len(several), AT_MOST):
        title = f"Benchmark {name}: metrics without a judge, mean and 95 % interval" if n == 0 else ""
        show_table(_metrics(title, dict(several[n : n + AT_MOST]), keys))
    print_remarks(cell_of(c[key]) for c in arms.values() for key in keys if _n(c, key))
    for line in metric_notes(keys).split(". "):
        print_line(line)


def _metrics(title: str, arms: Mapping[str, Any], keys: Sequence[str]) -> Table:
    shape = _shape(title, "metric")
    for arm in arms:
        shape.add_column(arm_name(arm), justify="right")
    shape.add_column("items", justify="right", no_wrap=True)
    for key in keys:
        cells = [interval(cell_of(c[key]), 3) if _n(c, key) else Text("–") for c in arms.values()]
        shape.add_row(key, *cells, str(max(_n(c, key) for c in arms.values())))
    return shape


def stacked(cell: Mapping[str, Any]) -> Text:
    """A cell of the paper's table with its interval below its value."""
    value, bracket, rest = shown(cell).partition(" [")
    return Text(value).append(f"\n[{rest}", "dim") if bracket else Text(value)


def _shape(title: str, first: str) -> Table:
    shape = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, title=title)
    shape.add_column(first, overflow="fold")
    return shape


def print_remarks(cells: Iterable[Cell]) -> None:
    """What the stars of a table stand for."""
    for line in remarks(cells):
        print_line(line)


def _n(cells: Mapping[str, Any], key: str) -> int:
    return int(cells[key]["n"]) if key in cells else 0


def difference(gap: Mapping[str, Any]) -> str:
    """'team before RL − editor alone: +0.61 [+0.39, +0.99], p 0.001'."""
    p = "" if gap["p_holm"] is None else f", p {gap['p_holm']:.2g} (Holm)"
    return f"{arm_name(gap['second'])} − {arm_name(gap['first'])}: {cell_of(gap).text(sign=True)}{p}"


__all__ = ["difference", "print_metrics", "print_table"]
