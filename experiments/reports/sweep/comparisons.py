"""What a set of runs answers: every question as a difference paired by (seed, test sample).

Within a configuration: for example the team after RL against before. Between two configurations that differ in exactly one
choice: that choice's effect, over their common seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from common.statistics import holm
from experiments.reports.sweep.differences import Difference, difference
from experiments.reports.sweep.measures import CHOICE, RL, Measure, MeasureSet, Unit
from experiments.runs.results import Evaluation

BASELINE_FIRST = {
    "execution": ("single", "multi", "loop"),
    "change": ("none",),
}  # where the order of the alphabet would turn the question around
ALTERNATIVES = ("change",)  # their values are compared with the first one of all, and not with each other

Replicates = Sequence[tuple[int, Evaluation]]  # the runs of one configuration: (seed, rows)


@dataclass(frozen=True)
class Comparison:
    """One question with its answer, or with the reason why there is none."""

    where: str  # the configuration, or the choice that differs and what is held fixed
    question: str
    kind: str  # RL, RAW_EDITOR or CHOICE
    unit: Unit
    difference: Difference | None = None
    refused: str = ""

    @property
    def digits(self) -> int:
        return self.unit.digits


def compare(
    keys: Sequence[str], groups: Mapping[tuple[str, ...], Replicates], measures: MeasureSet
) -> list[Comparison]:
    """All questions over `groups`, whose values of `keys` differ: first within each, then between pairs."""
    order = sorted(groups, key=lambda chosen: [rank(k, v) for k, v in zip(keys, chosen, strict=True)])
    comparisons = [c for chosen in order for c in within(label(keys, chosen), groups[chosen], measures)]
    first = [min((rank(k, g[i]), g[i]) for g in order)[1] for i, k in enumerate(keys)]  # the baseline of each key
    for a, b in combinations(order, 2):
        changed = [i for i in range(len(keys)) if a[i] != b[i]]
        if len(changed) == 1 and not (keys[i := changed[0]] in ALTERNATIVES and a[i] != first[i]):
            fixed = [k for k in range(len(keys)) if k != i]
            fixed_text = f" ({', '.join(f'{keys[k]} {a[k]}' for k in fixed)})" if fixed else ""
            comparisons += between(f"{keys[i]}: {a[i]} → {b[i]}{fixed_text}", groups[a], groups[b], measures)
    return corrected(comparisons)


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """All questions of a report are one family: each p-value with Holm's correction for their number."""
    adjusted = holm([None if c.difference is None else c.difference.p for c in comparisons])
    return [
        c if c.difference is None else replace(c, difference=replace(c.difference, adjusted=p))
        for c, p in zip(comparisons, adjusted, strict=True)
    ]


def label(keys: Sequence[str], chosen: Sequence[str]) -> str:
    """What tells a configuration from the others."""
    return ", ".join(f"{k} {v}" for k, v in zip(keys, chosen, strict=True)) or "as configured"


def telling(configurations: Sequence[tuple[str, ...]]) -> list[int]:
    """Places of keys that are enough to tell the configurations apart; a key that says nothing new beside those before it is left
    out. It keeps names in figures short where runs of several sweeps differ in many keys at once."""
    kept: list[int] = []
    for place in range(len(configurations[0]) if configurations else 0):
        more = [*kept, place]
        if len({tuple(c[k] for k in more) for c in configurations}) > len(
            {tuple(c[k] for k in kept) for c in configurations}
        ):
            kept = more
    return kept


def rank(key: str, value: str) -> tuple[int, float, str]:
    """Known baselines first, numbers by size, words by the alphabet: the direction never depends on the order of runs."""
    baselines = BASELINE_FIRST.get(key, ())
    try:
        number = float(value)
    except ValueError:
        number = math.inf
    return (baselines.index(value) if value in baselines else len(baselines), number, value)


def within(where: str, runs: Replicates, measures: MeasureSet) -> list[Comparison]:
    """The questions of `measures.within` over the seeds of one configuration."""
    if reason := unfit(runs):
        return [_refused(where, RL, measures, reason)]
    return [
        Comparison(where, question.text, question.kind, measures.measure(question.second).unit, d)
        for question in measures.within
        if (d := _difference(runs, measures.measure(question.first), runs, measures.measure(question.second)))
        is not None
    ]


def between(where: str, first: Replicates, second: Replicates, measures: MeasureSet) -> list[Comparison]:
    """second − first for each of `measures.between`, over the common seeds."""
    common = {s for s, _ in first} & {s for s, _ in second}
    reason = unfit(first) or unfit(second) or ("" if common else "they have no seed in common")
    reason = reason or unfit([run for run in (*first, *second) if run[0] in common], once=False)
    if reason:
        return [_refused(where, CHOICE, measures, reason)]
    return [
        Comparison(where, measure.phrase, CHOICE, measure.unit, d)
        for measure in map(measures.measure, measures.between)
        if (d := _difference(first, measure, second, measure)) is not None
    ]


def _refused(where: str, kind: str, measures: MeasureSet, reason: str) -> Comparison:
    unit = measures.measure(measures.within[0].second).unit
    return Comparison(where, "all questions", kind, unit, refused=reason)


def test_samples(evaluation: Evaluation) -> dict[str, str]:
    """The test samples of a run: id -> request and gold, in the order of the files; its complex requests too."""
    return {id_: text for _, part in evaluation.splits for id_, text in samples_of_split(part).items()}


def samples_of_split(evaluation: Evaluation) -> dict[str, str]:
    samples: dict[str, str] = {}
    for rows in (*evaluation.decompositions.values(), *evaluation.arms.values()):
        for r in rows:
            samples.setdefault(r["id"], json.dumps([r["request"], r.get("gold")]))
    return samples


def files_of(evaluation: Evaluation) -> list[tuple[str, list[dict[str, Any]]]]:
    """(name, rows) of both splits."""
    return [
        (f"{split} {name}".strip(), rows)
        for split, part in evaluation.splits
        for name, rows in (*part.decompositions.items(), *part.arms.items())
    ]


def unfit(runs: Replicates, once: bool = True) -> str:
    """Why these runs cannot be compared sample by sample; empty where they can. `once`: each seed at most once."""
    seeds = [s for s, _ in runs]
    if once and (double := next((s for s in seeds if seeds.count(s) > 1), None)) is not None:
        return (
            f"two runs have these choices and seed {double}: they differ in something config.yaml does not show "
            "(weights, data); give one of them only"
        )
    for seed, evaluation in runs:
        for file, rows in files_of(evaluation):
            if len({r["id"] for r in rows}) < len(rows):
                return f"a test sample has several rows (seed {seed}, {file}), so nothing says which to pair"
    if not runs:
        return ""
    first = dict(runs[0][1].splits)
    for _, evaluation in runs[1:]:
        for split, part in evaluation.splits:
            if split not in first:
                continue  # evaluated by one of them alone: nothing of it is compared
            samples, others = samples_of_split(first[split]), samples_of_split(part)
            if others != samples:
                shared = sum(others.get(i) == text for i, text in samples.items())
                what = f"{split} requests" if split else "test samples"
                return (
                    f"their {what} differ: one run was tested on {len(samples)}, another on {len(others)}, "
                    f"and only {shared} are in both"
                )
    return ""


def _difference(first: Replicates, of_first: Measure, second: Replicates, of_second: Measure) -> Difference | None:
    """None where no common seed has rows of both."""
    if of_first.samples is None or of_second.samples is None:
        return None
    before = {s: values for s, evaluation in first if (values := of_first.samples(evaluation))}
    after = {s: values for s, evaluation in second if (values := of_second.samples(evaluation))}
    if not before.keys() & after.keys():
        return None
    lowest = min(first, key=lambda run: run[0])[1]  # so that the order of the runs changes nothing
    rows = behind(
        [*((e, before[s]) for s, e in first if s in before), *((e, after[s]) for s, e in second if s in after)]
    )
    return difference(before, after, [i for i in test_samples(lowest) if i in rows])


def behind(values: Iterable[tuple[Evaluation, Mapping[str, float]]]) -> set[str]:
    """Ids of the samples that these values are of, those without a valid value among them: of each the shortest list of rows that
    holds all of its values. Samples of the other split, or whose pictures were never to be made, are not among them."""
    found: set[str] = set()
    for evaluation, by_id in values:
        lists = [{r["id"] for r in rows} for _, rows in files_of(evaluation)]
        found |= min((ids for ids in lists if by_id.keys() <= ids), key=len, default=set(by_id))
    return found


__all__ = [
    "Comparison",
    "Replicates",
    "behind",
    "between",
    "compare",
    "label",
    "rank",
    "test_samples",
    "unfit",
    "within",
    "telling",
]
