"""Forest plots: the differences of a sweep with their intervals, one row each."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from experiments.reports.looks import COLOURS
from experiments.reports.plots import INK, STYLE, fit, svg
from experiments.reports.sweep.comparisons import Comparison
from experiments.reports.sweep.differences import Difference
from experiments.reports.sweep.measures import CHOICE, ForestPlot

LEGEND = (
    "Point: the difference. Thick line: 95 % over test samples. Thin line: over seeds and samples. Rings: each seed."
)


def forests(comparisons: Sequence[Comparison], plots: Sequence[ForestPlot]) -> list[str]:
    """A figure, and the line under it, for each of `plots` that has a difference to show."""
    with matplotlib.rc_context(STYLE):
        return [
            f"{svg(figure, title)}<figcaption>{LEGEND} {words}</figcaption>"
            for title, figure, words in forest_figures(comparisons, plots)
        ]


def forest_figures(comparisons: Sequence[Comparison], plots: Sequence[ForestPlot]) -> list[tuple[str, Figure, str]]:
    """(title, figure, what must be said of its axis)"""
    answered = [(c, c.difference) for c in comparisons if c.difference is not None]
    answered = [(c, d) for c, d in answered if d.samples.value is not None]
    shown = [(p.title, [(c, d) for c, d in answered if c.unit == p.unit and c.kind in p.kinds]) for p in plots]
    return [(title, *_forest(title, rows)) for title, rows in shown if rows]


def _forest(title: str, shown: Sequence[tuple[Comparison, Difference]]) -> tuple[Figure, str]:
    """A row per difference. Thick: interval over samples. Thin: over seeds and samples. Rings: each seed."""
    figure = Figure(figsize=(8.6, 1.0 + 0.42 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=0.9)
    points: list[tuple[float, float]] = []
    for y, (c, d) in enumerate(shown):
        colour = COLOURS[0] if c.kind == CHOICE else COLOURS[1]
        lines = [(d.samples, 5.0, 0.4)] + ([(d.both, 1.0, 1.0)] if len(d.seeds) > 1 else [])
        for cell, width, alpha in lines:
            if cell.low is not None and cell.high is not None:
                ends = [cell.low, cell.high]
                axes.plot(ends, [y, y], color=colour, linewidth=width, alpha=alpha, solid_capstyle="butt")
                points += [(y, v) for v in ends]
        if len(d.seeds) > 1:
            axes.plot(list(d.seeds.values()), [y] * len(d.seeds), "o", color=colour, markersize=3.5, fillstyle="none")
        assert d.samples.value is not None
        axes.plot([d.samples.value], [y], "o", color=colour, markersize=6)
        points.append((y, d.samples.value))
    words = fit(axes, points, None, along="x", zero=True)
    axes.set_yticks(range(len(shown)), [f"{c.question}\n{c.where}" for c, _ in shown], fontsize=7.5)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title)
    return figure, words


__all__ = ["forest_figures", "forests"]
