"""Figures of a report as inline SVG, in one look."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.statistics import Mean

INK, MUTED, GRID = "#1c2733", "#6b7785", "#e6eaee"
COLOURS = ("#2563a8", "#d9772b", "#3a8f5c", "#8a4fb0", "#b8324f", "#7a6a3a", "#4aa3b5")
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",  # the same figure has the same bytes
    "axes.edgecolor": "#c5ccd3",
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


@dataclass(frozen=True)
class Chart:
    """Metrics of training over its steps: (metric, label) of each line. Metrics that were not logged are left out."""

    title: str
    lines: tuple[tuple[str, str], ...]


def curves(rows: Sequence[Mapping[str, Any]], charts: Sequence[Chart]) -> list[str]:
    """One SVG per chart that has anything to show; thin raw line, thick running mean."""
    out = []
    for chart in charts:
        present = [(key, label) for key, label in chart.lines if any(_value(r, key) is not None for r in rows)]
        if not present:
            continue
        with matplotlib.rc_context(STYLE):
            figure = Figure(figsize=(4.6, 2.5), layout="constrained")
            axes = figure.add_subplot()
            for n, (key, label) in enumerate(present):
                points = [(r["step"], v) for r in rows if (v := _value(r, key)) is not None]
                _line(axes, points, COLOURS[n % len(COLOURS)], label)
            axes.set_title(chart.title)
            axes.set_xlabel("step")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if len(present) > 1:
                axes.legend(ncols=2 if len(present) > 3 else 1)
            out.append(svg(figure))
    return out


def _line(axes: Axes, points: Sequence[tuple[float, float]], colour: str, label: str) -> None:
    x, y = [p[0] for p in points], [p[1] for p in points]
    width = max(1, len(y) // 12)
    smooth = [sum(y[max(0, i - width + 1) : i + 1]) / len(y[max(0, i - width + 1) : i + 1]) for i in range(len(y))]
    if width > 1:
        axes.plot(x, y, color=colour, alpha=0.25, linewidth=0.8)
    axes.plot(x, smooth, color=colour, linewidth=1.8, label=label, marker="o" if len(x) < 3 else None, markersize=3)


def whiskers(
    groups: Sequence[tuple[str, Sequence[tuple[str, Mean, str]]]],
    title: str,
    zero: bool = False,
    figsize: tuple[float, float] = (6.4, 3.0),
) -> str:
    """Points with intervals: groups along x, (label, mean, colour) side by side in each."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=figsize, layout="constrained")
        axes = figure.add_subplot()
        seen: set[str] = set()
        for g, (_, points) in enumerate(groups):
            for k, (label, m, colour) in enumerate(points):
                if m.n == 0:
                    continue
                x = g + (k - (len(points) - 1) / 2) * min(0.2, 0.7 / max(1, len(points)))
                axes.plot([x, x], [m.low, m.high], color=colour, linewidth=2.2, alpha=0.55, solid_capstyle="butt")
                axes.plot([x], [m.value], "o", color=colour, markersize=6, label=None if label in seen else label)
                seen.add(label)
        axes.set_xticks(range(len(groups)), [name for name, _ in groups])
        axes.grid(axis="x", visible=False)
        axes.set_xlim(-0.6, len(groups) - 0.4)
        axes.set_title(title)
        if zero:
            axes.axhline(0, color=MUTED, linewidth=0.8)
        if len(seen) > 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return svg(figure)


def svg(figure: Figure) -> str:
    """The figure as an <svg> element without the file's prologue."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", text, count=1)


def _value(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else None
