"""Forest plots: the differences of a sweep with their intervals, one row each."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from experiments.reports.plots import COLOURS, INK, MUTED, STYLE, svg
from experiments.reports.sweep.comparisons import Comparison
from experiments.reports.sweep.differences import Difference
from experiments.reports.sweep.measures import CHOICE, ForestPlot


def forests(comparisons: Sequence[Comparison], plots: Sequence[ForestPlot]) -> list[str]:
    """An SVG for each of `plots` that has a difference to show."""
    with matplotlib.rc_context(STYLE):
        return [svg(figure) for figure in forest_figures(comparisons, plots)]


def forest_figures(comparisons: Sequence[Comparison], plots: Sequence[ForestPlot]) -> list[Figure]:
    answered = [(c, c.difference) for c in comparisons if c.difference is not None and c.difference.samples.n]
    shown = [(p.title, [(c, d) for c, d in answered if c.unit == p.unit and c.kind in p.kinds]) for p in plots]
    return [_forest(title, rows) for title, rows in shown if rows]


def _forest(title: str, shown: Sequence[tuple[Comparison, Difference]]) -> Figure:
    """A row per difference. Thick: interval over samples. Thin: over seeds and samples. Rings: each seed."""
    figure = Figure(figsize=(8.6, 1.0 + 0.42 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=0.9)
    for y, (c, d) in enumerate(shown):
        colour = COLOURS[0] if c.kind == CHOICE else COLOURS[1]
        axes.plot([d.samples.low, d.samples.high], [y, y], color=colour, linewidth=5, alpha=0.4, solid_capstyle="butt")
        if len(d.seeds) > 1:
            axes.plot([d.both.low, d.both.high], [y, y], color=colour, linewidth=1.0)
            axes.plot(list(d.seeds.values()), [y] * len(d.seeds), "o", color=colour, markersize=3.5, fillstyle="none")
        axes.plot([d.samples.value], [y], "o", color=colour, markersize=6)
    axes.set_yticks(range(len(shown)), [f"{c.question}\n{c.where}" for c, _ in shown], fontsize=7.5)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("thick: 95 % over samples; thin: over seeds and samples; rings: seeds", color=MUTED)
    axes.set_title(title)
    return figure


__all__ = ["forest_figures", "forests"]
