"""Forest plots: the differences of a sweep with their intervals, one row each."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reports.looks import COLOURS
from experiments.reports.plots import INK, MUTED, PAPER, STYLE, fit, svg
from experiments.reports.sweep.comparisons import Comparison
from experiments.reports.sweep.differences import Difference
from experiments.reports.sweep.measures import CHOICE, ForestPlot

LEGEND = (
    "Point: the difference. Thick line: 95 % over test samples. Thin line: over seeds and samples. Rings: each seed."
)
HEAD, ROW = 0.26, 0.4  # inches of a configuration's line and of a difference


def forests(comparisons: Sequence[Comparison], plots: Sequence[ForestPlot], legend: str = LEGEND) -> list[str]:
    """A figure, and the line under it, for each of `plots` that has a difference to show."""
    with matplotlib.rc_context(STYLE):
        return [
            f"{svg(figure, title)}<figcaption>{legend} {words}</figcaption>"
            for title, figure, words in forest_figures(comparisons, plots)
        ]


def forest_figures(comparisons: Sequence[Comparison], plots: Sequence[ForestPlot]) -> list[tuple[str, Figure, str]]:
    """(title, figure, what must be said of its axis); without the lines of questions whose two sides are the same."""
    answered = [(c, c.difference) for c in comparisons if c.difference is not None]
    answered = [(c, d) for c, d in answered if d.samples.value is not None and d.differing]
    shown = [(p.title, [(c, d) for c, d in answered if c.unit == p.unit and c.kind in p.kinds]) for p in plots]
    return [(title, *_forest(title, rows)) for title, rows in shown if rows]


def _forest(title: str, shown: Sequence[tuple[Comparison, Difference]]) -> tuple[Figure, str]:
    """A line per difference, its words above it, under a line for each configuration. Thick: interval over samples. Thin: over
    seeds and samples. Rings: each seed. Heights are in inches."""
    places = [(where, list(rows)) for where, rows in groupby(shown, lambda row: row[0].where)]
    height = sum(HEAD + ROW * len(rows) for _, rows in places)
    figure = Figure(figsize=(4.8, 0.75 + height), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=0.9)
    behind = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}  # so that no line of the grid runs through the words
    left: dict[str, Any] = {
        "transform": axes.get_yaxis_transform(),
        "fontsize": 7.5,
        "va": "center",
        "bbox": behind,
    }  # x: share of the width
    points: list[tuple[float, float]] = []
    y = 0.0
    for where, rows in places:
        axes.text(0.0, y + 0.6 * HEAD, where, fontweight="bold", **left)
        y += HEAD
        for c, d in rows:
            axes.text(0.0, y + 0.3 * ROW, c.question, color=MUTED, **left)
            points += _line(axes, y + 0.72 * ROW, d, COLOURS[0] if c.kind == CHOICE else COLOURS[1])
            y += ROW
    words = fit(axes, points, None, along="x", zero=True)
    axes.set_yticks([])
    axes.set_ylim(y + 0.05, 0.0)
    axes.spines["left"].set_visible(False)
    axes.set_title(textwrap.fill(title, 46))
    return figure, words


def _line(axes: Axes, y: float, d: Difference, colour: str) -> list[tuple[float, float]]:
    """Draw a difference at the height y; returns what the axis must hold."""
    points = []
    for cell, width, alpha in [(d.samples, 5.0, 0.4)] + ([(d.both, 1.0, 1.0)] if len(d.seeds) > 1 else []):
        if cell.low is not None and cell.high is not None:
            ends = [cell.low, cell.high]
            axes.plot(ends, [y, y], color=colour, linewidth=width, alpha=alpha, solid_capstyle="butt")
            points += [(y, v) for v in ends]
    if len(d.seeds) > 1:
        axes.plot(list(d.seeds.values()), [y] * len(d.seeds), "o", color=colour, markersize=3.5, fillstyle="none")
    assert d.samples.value is not None
    axes.plot([d.samples.value], [y], "o", color=colour, markersize=5.5)
    return [*points, (y, d.samples.value)]


__all__ = ["forest_figures", "forests"]
