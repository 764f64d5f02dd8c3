"""Figures of a report as inline SVG, in one look. Their colours are variables of the page's style, so that a dark page has
light ink."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.cells import Cell
from experiments.reports.html import boxed
from experiments.reports.looks import COLOURS, GREYS

INK, MUTED, GRID, EDGE, PAPER = "#1c2733", "#5f6b78", "#e6eaee", "#c5ccd3", "#ffffff"
VARIABLES = {  # of report.css
    **{INK: "ink", MUTED: "muted", GRID: "line", EDGE: "edge", PAPER: "paper"},
    **{colour: f"c{n}" for n, colour in enumerate((*COLOURS, *GREYS), 1)},
}
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",  # the same figure has the same bytes
    "text.color": INK,
    "axes.edgecolor": EDGE,
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
SMALL_SCREEN = 420  # points of a figure's width up to which it is readable there
Range = tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """Metrics of training over its steps: (metric, label) of each line. Metrics that were not logged are left out. `what`:
    the line under the figure that says what is drawn; `scale`: the smallest and largest value there can be."""

    title: str
    lines: tuple[tuple[str, str], ...]
    what: str = ""
    scale: Range | None = None


def curves(rows: Sequence[Mapping[str, Any]], charts: Sequence[Chart]) -> list[str]:
    """One figure per chart that has anything to show, with its line of words; thin raw line, thick running mean. Metrics that
    are 0 at every step are named and not drawn."""
    out = []
    for chart in charts:
        points = {label: _points(rows, key) for key, label in chart.lines}
        zero = [label for label, p in points.items() if p and not any(v for _, v in p)]
        drawn = {label: p for label, p in points.items() if p and label not in zero}
        words = [chart.what, f"Always 0: {', '.join(zero)}." if zero else ""]
        if not drawn:
            if zero:
                out.append(_captioned("", [f"{chart.title}: {', '.join(zero)}: 0 at every step.", chart.what]))
            continue
        with matplotlib.rc_context(STYLE):
            figure = Figure(figsize=(4.6, 2.5), layout="constrained")
            axes = figure.add_subplot()
            for n, (label, p) in enumerate(drawn.items()):
                _line(axes, p, COLOURS[n % len(COLOURS)], label)
            words.append(fit(axes, [p for line in drawn.values() for p in line], chart.scale))
            axes.set_title(chart.title)
            axes.set_xlabel("step")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if len(drawn) > 1:
                axes.legend(ncols=2 if len(drawn) > 3 else 1)
            out.append(_captioned(svg(figure, chart.title), words))
    return out


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    return [(r["step"], float(v)) for r in rows if isinstance(v := r.get(key), int | float) and np.isfinite(v)]


def _captioned(drawn: str, words: Sequence[str]) -> str:
    text = " ".join(filter(None, words))
    return drawn + (f"<figcaption>{escape(text)}</figcaption>" if text else "")


def _line(axes: Axes, points: Sequence[tuple[float, float]], colour: str, label: str) -> None:
    x, y = [p[0] for p in points], [p[1] for p in points]
    width = max(1, len(y) // 12)
    low, high = robust_range(np.array(y))
    near = [v if low <= v <= high else None for v in y]  # one far value must not pull the running mean for many steps
    windows = [[v for v in near[max(0, i - width + 1) : i + 1] if v is not None] for i in range(len(y))]
    smooth = [sum(w) / len(w) if w else np.nan for w in windows]
    if width > 1:
        axes.plot(x, y, color=colour, alpha=0.25, linewidth=0.8)
    axes.plot(x, smooth, color=colour, linewidth=1.8, label=label, marker="o" if len(x) < 3 else None, markersize=3)


def whiskers(
    groups: Sequence[tuple[str, Sequence[tuple[str, Cell, str]]]],
    title: str,
    scale: Range | None = None,
) -> str:
    """Points with intervals: groups along x, (label, mean, colour) side by side in each; without an interval the point alone.
    `scale`: the smallest and largest value there can be. The figure is as wide as its groups and their names need."""
    with matplotlib.rc_context(STYLE):
        width = max(5.4, 0.8 + sum(_width(name, len(points)) for name, points in groups))
        figure = Figure(figsize=(width, 3.2), layout="constrained")
        axes = figure.add_subplot()
        seen: set[str] = set()
        shown: list[tuple[float, float]] = []
        for g, (_, points) in enumerate(groups):
            for k, (label, m, colour) in enumerate(points):
                if m.value is None:
                    continue
                x = g + (k - (len(points) - 1) / 2) * min(0.2, 0.7 / max(1, len(points)))
                shown += [(x, v) for v in (m.value, m.low, m.high) if v is not None]
                if m.low is not None and m.high is not None:
                    axes.plot([x, x], [m.low, m.high], color=colour, linewidth=2.2, alpha=0.55, solid_capstyle="butt")
                name = None if label in seen else label
                axes.plot([x], [m.value], "o", color=colour, markersize=6, label=name, clip_on=False)
                seen.add(label)
        words = fit(axes, shown, scale)
        axes.set_xticks(range(len(groups)), [name for name, _ in groups])
        axes.grid(axis="x", visible=False)
        axes.set_xlim(-0.6, len(groups) - 0.4)
        axes.set_title(title)
        if len(seen) > 1:
            columns = _columns(list(dict.fromkeys(label for _, points in groups for label, _, _ in points)), width)
            figure.legend(loc="outside lower center", ncols=columns)
        return _captioned(svg(figure, title), [words])


def _width(name: str, points: int) -> float:
    """Inches that a group of points and its name, of several lines, take."""
    return max(max(map(len, name.split("\n"))) * 5.4 + 8, 11.0 * points) / 72


def _columns(labels: Sequence[str], width: float) -> int:
    """How many columns of a legend, which is filled column by column, fit into `width` inches: at most three."""
    for columns in (3, 2):
        rows = -(-len(labels) // columns)
        widest = [max(map(len, labels[i : i + rows])) for i in range(0, len(labels), rows)]
        if sum(4.5 * n + 32 for n in widest) < 72 * width:
            return columns
    return 1


@dataclass(frozen=True)
class Series:
    """A line through points (x, mean)."""

    label: str
    colour: str
    points: Sequence[tuple[float, Cell]]


def trade_off(
    series: Sequence[Series],
    title: str,
    along: str,
    scale: Range | None = None,
    figsize: tuple[float, float] = (6.4, 3.4),
) -> str:
    """Lines through means with their intervals, what they cost along x. `scale`: the smallest and largest mean there can be."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=figsize, layout="constrained")
        axes = figure.add_subplot()
        shown: list[tuple[float, float]] = []
        for one in series:
            known = [(x, m) for x, m in one.points if m.value is not None]
            for x, m in known:
                shown += [(x, v) for v in (m.value, m.low, m.high) if v is not None]
                if m.low is not None and m.high is not None:
                    axes.plot(
                        [x, x], [m.low, m.high], color=one.colour, linewidth=2.2, alpha=0.35, solid_capstyle="butt"
                    )
            axes.plot(
                [x for x, _ in known],
                np.array([m.value for _, m in known], dtype=np.float64),
                "o-",
                color=one.colour,
                markersize=4,
                linewidth=1.4,
                label=one.label,
                clip_on=False,
            )
        words = fit(axes, shown, scale, zero=True)
        axes.set_title(title)
        axes.set_xlabel(along)
        if len(series) > 1:
            figure.legend(loc="outside lower center", ncols=_columns([one.label for one in series], figsize[0]))
        return _captioned(svg(figure, title), [words])


def fit(
    axes: Axes, points: Sequence[tuple[float, float]], scale: Range | None, along: str = "y", zero: bool = False
) -> str:
    """Set the limits of the axis `along` which the values lie: a few values far from all others do not flatten the rest but
    become arrowheads at the edge, and nothing beyond `scale` is shown; with `zero`, 0 always is. Returns what must be said:
    that the axis does not start at 0, and which values lie beyond it."""
    values = np.array([v for _, v in points], dtype=np.float64)
    if not values.size:
        return ""
    low, high = robust_range(values)
    inside = (values >= low) & (values <= high)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    bottom, top = low - pad, high + pad
    if scale is not None:
        bottom, top = max(bottom, scale[0]), min(top, scale[1])
        if bottom == top:
            bottom, top = scale
    elif low >= 0 > bottom and not zero:
        bottom = 0.0
    (axes.set_ylim if along == "y" else axes.set_xlim)(bottom, top)
    words = []
    for beyond, edge, mark in ((values > high, top, "^>"), (values < low, bottom, "v<")):
        at = [p for p, out in zip(points, beyond, strict=True) if out]
        for where, _ in at:
            xy = (where, edge) if along == "y" else (edge, where)
            axes.plot(*[[c] for c in xy], mark[along == "x"], color=MUTED, markersize=5, clip_on=False)
    if not inside.all():
        far = values[~inside]
        count = f"{far.size} value{'s lie' if far.size > 1 else ' lies'}"
        words.append(f"{count} beyond the axis (arrowheads), from {far.min():.3g} to {far.max():.3g}." if far.size > 1
                     else f"{count} beyond the axis (arrowhead): {far[0]:.3g}.")  # fmt: skip
    if bottom > 0 or top < 0:
        words.append("The axis does not start at 0.")
    return " ".join(words)


def robust_range(values: np.ndarray) -> Range:
    """The smallest and largest value that the axis must hold: all of them, unless a tenth or fewer on one side lie further from
    the middle four fifths than three times their spread."""
    low, high = np.quantile(values, (0.1, 0.9))
    spread = 3.0 * (high - low)
    kept = values[(values >= low - spread) & (values <= high + spread)] if spread > 0 else values
    return float(kept.min()), float(kept.max())


def svg(figure: Figure, title: str) -> str:
    """The figure as an <svg> element without the file's prologue, named for readers who do not see it. It is at most 1.7 times
    its size, so that its type does not outgrow the page's; one that would be too small to read on a telephone scrolls in a box."""
    points = 72 * figure.get_figwidth()
    least = f"min-width:{0.88 * points:.0f}px;" if points > SMALL_SCREEN else ""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    named = f'role="img" aria-label="{escape(title)}" style="{least}max-width:{1.7 * points:.0f}px"'
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', named, text, count=1)
    text = re.sub(r"#[0-9a-f]{6}\b", lambda m: f"var(--{VARIABLES[m[0]]})" if m[0] in VARIABLES else m[0], text)
    return boxed(text) if least else text


__all__ = [
    "COLOURS",
    "INK",
    "MUTED",
    "PAPER",
    "STYLE",
    "Chart",
    "Range",
    "Series",
    "curves",
    "fit",
    "robust_range",
    "svg",
    "trade_off",
    "whiskers",
]
