"""Learning curves of a sweep: each configuration's mean over its seeds, with a band from the lowest seed to the highest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.jsonl import read_jsonl
from experiments.reports.looks import COLOURS, GREYS
from experiments.reports.plots import STYLE, Range, fit, svg
from experiments.reports.sweep.comparisons import label, telling
from experiments.reports.sweep.summary import Sweep

JOURNALS = {"metrics.jsonl": "", "gcpo.jsonl": "GCPO: ", "sessions/edit_r2/metrics.jsonl": "Edit-R2: "}
METRICS: tuple[tuple[str, str, Range | None], ...] = (
    ("reward/mean", "Reward", (0.0, 1.0)),
    ("kl/mean", "KL to the start (nats per token)", None),
    ("entropy/mean", "Entropy (nats per token)", None),
)
AT_MOST = len(COLOURS) + len(GREYS)  # lines that can be told apart
LINES = ("-", "--", ":")


@dataclass(frozen=True)
class Curve:
    """By step, over those seeds that logged it: running mean over the steps before, then mean, lowest and highest of the seeds."""

    name: str
    steps: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]
    seeds: int


def curve(name: str, by_seed: Sequence[Mapping[int, float]]) -> Curve:
    smooth = [_running(values) for values in by_seed if values]
    steps = sorted({step for values in smooth for step in values})
    columns = [[values[s] for values in smooth if s in values] for s in steps]
    means = [sum(c) / len(c) for c in columns]
    return Curve(name, steps, means, list(map(min, columns)), list(map(max, columns)), len(smooth))


def _running(values: Mapping[int, float]) -> dict[int, float]:
    """The mean over a twelfth of all steps, up to each."""
    steps = sorted(values)
    width = max(1, len(steps) // 12)
    return {s: float(np.mean([values[t] for t in steps[max(0, i - width + 1) : i + 1]])) for i, s in enumerate(steps)}


def curves(sweep: Sweep, journal: str, metric: str) -> list[Curve]:
    """One of each configuration whose runs logged the metric. Configurations whose seeds logged the same numbers (they differ in
    what is done after the training) are one curve."""
    alike: dict[str, tuple[list[str], list[dict[int, float]]]] = {}
    told = telling(list(sweep.groups))
    for key, members in sweep.groups.items():
        seeds = [logged(run.folder / journal, metric) for run in sorted(members, key=lambda r: r.seed)]
        if any(seeds):
            alike.setdefault(str(seeds), ([], seeds))[0].append(
                label([sweep.keys[k] for k in told], [key[k] for k in told])
            )
    return [curve(_named(names), seeds) for names, seeds in alike.values()]


def _named(names: Sequence[str]) -> str:
    return names[0] + (f" (and {len(names) - 1} more with the same values)" if len(names) > 1 else "")


def logged(path: Path, metric: str) -> dict[int, float]:
    """step -> value; empty where the run has no such journal, or none of the metric in it."""
    rows = read_jsonl(path) if path.is_file() else []
    return {int(r["step"]): float(v) for r in rows if isinstance(v := r.get(metric), int | float) and np.isfinite(v)}


def learning_section(sweep: Sweep) -> list[str]:
    """A figure for each metric that was logged, with the line under it; nothing where no run trained."""
    figures = [
        figure(found, prefix + title, scale)
        for journal, prefix in JOURNALS.items()
        for metric, title, scale in METRICS
        if (found := curves(sweep, journal, metric)) and any(any(c.mean) for c in found)
    ]
    if not figures:
        return []
    said = "Lines: mean over the seeds of a configuration, each a running mean. Bands: from the lowest seed to the highest."
    return [
        "<h2>Learning curves</h2>",
        f'<p class="muted">{said}</p>',
        f'<div class="two">{"".join(f"<figure>{f}</figure>" for f in figures)}</div>',
    ]


def figure(found: Sequence[Curve], title: str, scale: Range | None) -> str:
    colours = (*COLOURS, *GREYS)
    with matplotlib.rc_context(STYLE):
        one = Figure(figsize=(5.4, 3.2 + 0.16 * max(0, len(found) - 2)), layout="constrained")
        axes = one.add_subplot()
        points = []
        for n, c in enumerate(found):
            colour, style = colours[n % AT_MOST], LINES[n // AT_MOST % len(LINES)]
            if c.seeds > 1:
                axes.fill_between(c.steps, c.low, c.high, color=colour, alpha=0.18, linewidth=0)
            mark = "o" if len(c.steps) < 3 else None
            axes.plot(c.steps, c.mean, style, color=colour, linewidth=1.7, label=c.name, marker=mark, markersize=3)
            points += [(float(s), v) for values in (c.low, c.high) for s, v in zip(c.steps, values, strict=True)]
        words = fit(axes, points, scale)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(found) > 1:
            one.legend(loc="outside lower center", ncols=1)
        return svg(one, title) + (f"<figcaption>{words}</figcaption>" if words else "")


__all__ = ["Curve", "curve", "curves", "learning_section"]
