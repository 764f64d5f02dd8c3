"""What a set of runs answers: every question as a difference paired by (seed, test sample).

Within a configuration: the team after RL against before, against the raw editor and against the editor with as many
calls. Between two configurations that differ in exactly one choice: that choice's effect, over their common seeds.

Each difference has two intervals. `samples` covers the test samples and nothing else: another set of test requests
would move the number within it, the trained models stay as they are. It says nothing about training anew, so the
difference of every seed is given beside it. `both` also draws the seeds; with few seeds it is still too narrow, because
three runs hardly show how far runs scatter. Neither is corrected for the number of questions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from common.means import RESAMPLES, Mean, mean
from experiments.evaluation.names import ARM_NAMES, WHEN
from experiments.reports.plots import COLOURS, INK, MUTED, STYLE, svg
from experiments.reports.run.numbers import mean_f1, scores
from experiments.runs.results import Evaluation

OVERALL, F1 = "overall", "mean F1"
RL, RAW_EDITOR, CHOICE = "RL", "raw editor", "choice"  # kinds of questions
PANELS = (  # of the plot: title, unit and kinds; apart because differences from the raw editor dwarf the others
    ("Difference in overall (0–10): after − before RL, and of choices", OVERALL, (RL, CHOICE)),
    ("Difference in overall (0–10): team − raw editor", OVERALL, (RAW_EDITOR,)),
    ("Difference in mean F1 (0–1)", F1, (RL, CHOICE)),
)
# (second, first) of each question within one configuration: arms, or decompositions before and after
WITHIN = (
    ("agents_rl", "agents"),
    ("after", "before"),
    ("agents_rl", "editor"),
    ("agents_rl", "editor_chance"),
    ("agents_rl", "editor_best"),
)
BETWEEN = ("agents_rl", "agents", "editor", "after")
BASELINE_FIRST = {"execution": ("single", "multi")}  # where the order of the alphabet would turn the question around

Values = Mapping[str, float]  # by sample id; a sample without a valid value is not in it
Group = Sequence[tuple[int, Evaluation]]  # the runs of one configuration: (seed, rows)


@dataclass(frozen=True)
class Difference:
    """second − first. `samples.n` test samples were compared; `left_out` (seed, sample) pairs lack a value in either."""

    samples: Mean
    both: Mean
    seeds: dict[int, float]  # NaN where no sample of that seed could be paired
    left_out: int


@dataclass(frozen=True)
class Comparison:
    """One question with its answer, or with the reason why there is none."""

    where: str  # the configuration, or the choice that differs and what is held fixed
    question: str
    kind: str  # RL, RAW_EDITOR or CHOICE
    unit: str  # OVERALL (0–10) or F1 (0–1)
    difference: Difference | None = None
    refused: str = ""

    @property
    def digits(self) -> int:
        return 3 if self.unit == F1 else 2


def compare(keys: Sequence[str], groups: Mapping[tuple[str, ...], Group]) -> list[Comparison]:
    """All questions over `groups`, whose values of `keys` differ: first within each, then between pairs."""
    order = sorted(groups, key=lambda chosen: [_rank(k, v) for k, v in zip(keys, chosen, strict=True)])
    out = [c for chosen in order for c in within(label(keys, chosen), groups[chosen])]
    for a, b in combinations(order, 2):
        changed = [i for i in range(len(keys)) if a[i] != b[i]]
        if len(changed) == 1:
            (i,) = changed
            fixed = [k for k in range(len(keys)) if k != i]
            held = f" ({', '.join(f'{keys[k]} {a[k]}' for k in fixed)})" if fixed else ""
            out += between(f"{keys[i]}: {a[i]} → {b[i]}{held}", groups[a], groups[b])
    return out


def label(keys: Sequence[str], chosen: Sequence[str]) -> str:
    """What tells a configuration from the others."""
    return ", ".join(f"{k} {v}" for k, v in zip(keys, chosen, strict=True)) or "as configured"


def _rank(key: str, value: str) -> tuple[int, float, str]:
    """Known baselines first, numbers by size, words by the alphabet: the direction never depends on the order of runs."""
    known = BASELINE_FIRST.get(key, ())
    try:
        number = float(value)
    except ValueError:
        number = math.inf
    return (known.index(value) if value in known else len(known), number, value)


def within(where: str, group: Group) -> list[Comparison]:
    """RL against no RL, and the team against the raw editor, over the seeds of one configuration."""
    if reason := unfit(group):
        return [Comparison(where, "all questions", RL, OVERALL, refused=reason)]
    return [
        Comparison(
            where,
            f"mean F1, {b} − {a} RL" if b in WHEN else f"{name(b)} − {name(a)}",
            RAW_EDITOR if a.startswith("editor") else RL,
            unit(b),
            d,
        )
        for b, a in WITHIN
        if (d := _difference_of(group, a, group, b)) is not None
    ]


def between(where: str, first: Group, second: Group) -> list[Comparison]:
    """second − first for each of BETWEEN, over the common seeds."""
    common = {s for s, _ in first} & {s for s, _ in second}
    reason = unfit(first) or unfit(second) or ("" if common else "they have no seed in common")
    reason = reason or unfit([run for run in (*first, *second) if run[0] in common], once=False)
    if reason:
        return [Comparison(where, "all questions", CHOICE, OVERALL, refused=reason)]
    return [
        Comparison(where, name(of), CHOICE, unit(of), d)
        for of in BETWEEN
        if (d := _difference_of(first, of, second, of)) is not None
    ]


def name(of: str) -> str:
    return f"mean F1 {of} RL" if of in WHEN else ARM_NAMES.get(of, of.replace("_", " "))


def unit(of: str) -> str:
    return F1 if of in WHEN else OVERALL


def values(found: Evaluation, of: str) -> dict[str, float]:
    """By sample id: `overall` of an arm where the verdict is valid, or the mean F1 `before` or `after`."""
    rows = found.decompositions[of] if of in WHEN else found.arms.get(of, [])
    numbers = mean_f1(rows) if of in WHEN else scores(rows, "overall")
    return {r["id"]: x for r, x in zip(rows, numbers, strict=True) if x is not None}


def asked(found: Evaluation) -> dict[str, str]:
    """The test samples of a run: id -> request and gold, in the order of the files."""
    out: dict[str, str] = {}
    for rows in (*found.decompositions.values(), *found.arms.values()):
        for r in rows:
            out.setdefault(r["id"], json.dumps([r["request"], r.get("gold")]))
    return out


def unfit(group: Group, once: bool = True) -> str:
    """Why these runs cannot be compared sample by sample; empty where they can. `once`: each seed at most once."""
    seeds = [s for s, _ in group]
    if once and (double := next((s for s in seeds if seeds.count(s) > 1), None)) is not None:
        return (
            f"two runs have these choices and seed {double}: they differ in something config.yaml does not show "
            "(weights, data); give one of them only"
        )
    for seed, found in group:
        for file, rows in (*found.decompositions.items(), *found.arms.items()):
            if len({r["id"] for r in rows}) < len(rows):
                return f"a test sample has several rows (seed {seed}, {file}), so nothing says which to pair"
    if not group:
        return ""
    samples = asked(group[0][1])
    for _, found in group[1:]:
        if (others := asked(found)) != samples:
            shared = sum(others.get(i) == text for i, text in samples.items())
            return (
                f"their test samples differ: one run was tested on {len(samples)}, another on {len(others)}, "
                f"and only {shared} are in both"
            )
    return ""


def _difference_of(first: Group, a: str, second: Group, b: str) -> Difference | None:
    """None where no common seed has rows of both."""
    before = {s: v for s, found in first if (v := values(found, a))}
    after = {s: v for s, found in second if (v := values(found, b))}
    if not before.keys() & after.keys():
        return None
    lowest = min(first, key=lambda run: run[0])[1]  # so that the order of the runs changes nothing
    return difference(before, after, list(asked(lowest)))


def difference(first: Mapping[int, Values], second: Mapping[int, Values], samples: Sequence[str]) -> Difference:
    """second − first, paired by (seed, sample id), averaged over the common seeds for each sample, then over samples."""
    seeds = sorted(first.keys() & second.keys())
    change = table_SN(second, seeds, samples) - table_SN(first, seeds, samples)
    known = [row[np.isfinite(row)] for row in change]
    each = {s: float(row.mean()) if row.size else math.nan for s, row in zip(seeds, known, strict=True)}
    return Difference(over_samples(change), over_both(change), each, int(np.isnan(change).sum()))


def table_SN(by_seed: Mapping[int, Values], seeds: Sequence[int], samples: Sequence[str]) -> NDArray[np.float64]:
    """Values [seeds, samples]; NaN where there is none."""
    return np.array([[by_seed[s].get(i, math.nan) for i in samples] for s in seeds], dtype=np.float64)


def over_samples(values_SN: NDArray[np.float64]) -> Mean:
    """Bootstrap over samples of each sample's mean over seeds: with one seed, the plain paired bootstrap."""
    return mean([float(v[np.isfinite(v)].mean()) for v in values_SN.T if np.isfinite(v).any()])


def over_both(values_SN: NDArray[np.float64]) -> Mean:
    """Bootstrap over seeds, then samples. All drawn seeds meet the same drawn samples, as the real ones did; drawing
    samples for each seed anew would count what the samples share as independent (crossed factors: Owen, arXiv
    0712.1111). With one seed it is `over_samples`."""
    plain = over_samples(values_SN)
    seeds = len(values_SN)
    known = np.isfinite(values_SN)
    if seeds < 2 or plain.n == 0:
        return plain
    values_SN, known = values_SN[:, known.any(0)], known[:, known.any(0)]
    rng = np.random.default_rng(0)
    drawn_RS = rng.multinomial(seeds, [1 / seeds] * seeds, RESAMPLES)  # how often each seed is drawn
    total_RN, count_RN = drawn_RS @ np.where(known, values_SN, 0.0), drawn_RS @ known.astype(np.int64)
    picked_RN = rng.integers(0, plain.n, (RESAMPLES, plain.n))
    average_RN = np.take_along_axis(total_RN / np.maximum(count_RN, 1), picked_RN, 1)
    there_RN = np.take_along_axis(count_RN > 0, picked_RN, 1)  # a sample that only undrawn seeds have is not there
    some = there_RN.any(1)
    draws = (average_RN * there_RN).sum(1)[some] / there_RN.sum(1)[some]
    low, high = np.quantile(draws, (0.025, 0.975))
    return Mean(plain.value, float(low), float(high), plain.n)


def forests(comparisons: Sequence[Comparison]) -> list[str]:
    """An SVG for each of PANELS that has a difference to show."""
    with matplotlib.rc_context(STYLE):
        return [svg(figure) for figure in forest_figures(comparisons)]


def forest_figures(comparisons: Sequence[Comparison]) -> list[Figure]:
    answered = [(c, c.difference) for c in comparisons if c.difference is not None and c.difference.samples.n]
    panels = [(title, [(c, d) for c, d in answered if c.unit == of and c.kind in kinds]) for title, of, kinds in PANELS]
    return [_forest(title, shown) for title, shown in panels if shown]


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
