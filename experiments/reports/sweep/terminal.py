"""Tables of a sweep for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from experiments.reports.run.terminal import interval
from experiments.reports.sweep.comparisons import label
from experiments.reports.sweep.effects import Effect
from experiments.reports.sweep.measures import Measure
from experiments.reports.sweep.pivot import Pivot
from experiments.reports.sweep.summary import Sweep
from experiments.reports.sweep.words import each_seed, left_out_text, seeds_text, value
from experiments.reports.words import p_text

AT_MOST = 5  # measures that fit side by side into 80 columns


def mean_tables(sweep: Sweep) -> list[Table]:
    """One table, or one for each unit where the measures are too many for 80 columns."""
    tables = []
    for n, measures in enumerate(side_by_side(sweep)):
        printed = _table(f"{len(sweep.runs)} runs{sweep.judged}: {sweep.title}" if n == 0 else "")
        printed.add_column("\n".join(sweep.keys) or "configuration", overflow="fold")
        for m in measures:
            printed.add_column(_stacked(m.heading, 9), justify="right", no_wrap=True)
        for key, members in sweep.groups.items():
            cells = [interval(sweep.means[key][m.name], m.unit.digits) for m in measures]
            first = Text("\n".join(key) or "as configured").append(f"\n{seeds_text(r.seed for r in members)}", "dim")
            printed.add_row(first, *cells)
        tables.append(printed)
    return tables


def side_by_side(sweep: Sweep) -> list[list[Measure]]:
    """The measures of each table."""
    by_unit = [[m for m in sweep.measures if m.unit == unit] for unit in sweep.shown.units]
    return [sweep.measures] if len(sweep.measures) <= AT_MOST else [part for part in by_unit if part]


def runs_tables(sweep: Sweep) -> list[Table]:
    """Every run by its configuration, in as many tables as the means have."""
    tables = []
    for n, measures in enumerate(side_by_side(sweep)):
        printed = _table("Each run" if n == 0 else "")
        printed.add_column("run", overflow="fold")
        for head in ("seed", *(m.heading for m in measures)):
            printed.add_column(_stacked(head, 6), justify="right", no_wrap=True)
        for key, members in sweep.groups.items():
            if sweep.keys:
                printed.add_row(Text(label(sweep.keys, key), "bold"))
            for run in members:
                printed.add_row(Text(run.folder.name), str(run.seed), *(value(run, m) for m in measures))
        tables.append(printed)
    return tables


def pivot_table(table: Pivot) -> Table:
    """The measure by rows and columns, intervals below the values."""
    printed = _table(table.title)
    printed.add_column(", ".join(table.row_keys), overflow="fold")
    for col in table.cols:
        printed.add_column(_stacked(table.label(col), 12), justify="right", overflow="fold")
    for row in table.rows:
        cells = []
        for col in table.cols:
            value, under = table.text(row, col)
            low_high = under.strip("[]").replace(", ", "–")
            cells.append(Text(value).append(f"\n{low_high}" if under else "", "dim"))
        printed.add_row(Text(table.label(row)), *cells)
    return printed


def effects_table(effects: Sequence[Effect]) -> Table | None:
    """Main effects of each key, with their interval over pairs and samples."""
    if not effects:
        return None
    printed = _table("Main effects: mean over all pairs of runs that differ in this key alone")
    printed.add_column("key", overflow="fold")
    printed.add_column("change", overflow="fold")
    printed.add_column("effect", justify="right", no_wrap=True)
    printed.add_column("p (Holm)", justify="right", no_wrap=True)
    for e in effects:
        d = e.comparison.difference
        if d is not None:
            number, under = d.both.parts(e.comparison.digits, sign=True)
            said = Text(number, "bold" if d.significant else "").append(f"\n{under}" if under else "", "not bold dim")
            printed.add_row(Text(e.key), Text(e.comparison.question), said, p_text(d.adjusted))
    return printed


def comparisons_table(sweep: Sweep) -> Table | None:
    """Differences with their interval over test samples, and of each seed."""
    if not sweep.answered:
        return None
    printed = _table("Comparisons: difference, 95 % interval over test samples, p by Holm; each seed")
    printed.add_column("", overflow="fold", min_width=30)
    printed.add_column("difference", justify="right", no_wrap=True)
    printed.add_column("each seed", overflow="fold")
    for where, several in groupby(sweep.answered, lambda pair: pair[0].where):
        lines = list(several)
        seeds = list(lines[0][1].seeds)
        n = max(d.samples.n for _, d in lines)
        printed.add_row(Text(where, "bold"), Text(f"{n} samples", "dim"), Text(seeds_text(seeds), "dim"))
        for c, d in lines:
            left = f"\n  {left_out_text(d)}" if d.left_out else ""
            number, under = d.samples.parts(c.digits, sign=True)
            p = "" if d.adjusted is None else f"\np {p_text(d.adjusted)}"
            each = (
                list(each_seed(c, d).values())
                if list(d.seeds) == seeds
                else [f"{k}: {v}" for k, v in each_seed(c, d).items()]
            )
            printed.add_row(
                Text(f"  {c.question}").append(left, "dim"),
                Text(number, "bold" if d.significant else "")
                .append(f"\n{under}" if under else "", "not bold dim")
                .append(p, "not bold dim"),
                Text(" ".join(each)),
            )
    return printed


def _table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", padding=(0, 1), collapse_padding=True)


def _stacked(text: str, width: int) -> str:
    """A head no wider than the numbers under it, or than its longest word."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=False))
