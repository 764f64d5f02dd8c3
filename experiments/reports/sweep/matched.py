"""Differences between two sets of runs that are alike in everything else: pairs of one seed and one value of every other key."""

from __future__ import annotations

from collections.abc import Sequence

from common.statistics import mean, paired
from experiments.reports.sweep.comparisons import behind, test_samples, unfit
from experiments.reports.sweep.differences import Difference, difference
from experiments.reports.sweep.measures import Measure
from experiments.reports.sweep.runs import Run


def pairs(first: Sequence[Run], second: Sequence[Run], others: Sequence[str]) -> list[tuple[Run, Run]]:
    """Runs of both sets with the same seed and the same values of the keys `others`."""

    def place(run: Run) -> tuple[object, ...]:
        return (run.seed, *(run.choices.get(k) for k in others))

    by_place = {place(run): run for run in second}
    return [(run, by_place[place(run)]) for run in first if place(run) in by_place]


def matched_difference(
    first: Sequence[Run], second: Sequence[Run], measure: Measure, others: Sequence[str]
) -> Difference | None:
    """second − first over all pairs: paired by test sample where the measure has samples and they are the same, else over the
    pairs alone. None where there is no pair with the measure."""
    found = [p for p in pairs(first, second, others) if all(run.value(measure) is not None for run in p)]
    if not found:
        return None
    several = [(n, run.evaluation) for n, pair in enumerate(found) for run in pair]
    if measure.samples is not None and not unfit(several, once=False):
        before = {n: measure.samples(a.evaluation) for n, (a, _) in enumerate(found)}
        after = {n: measure.samples(b.evaluation) for n, (_, b) in enumerate(found)}
        if all(before.values()) and all(after.values()):
            sides = [
                (pair[k].evaluation, of[n]) for k, of in enumerate((before, after)) for n, pair in enumerate(found)
            ]
            rows = behind(sides)
            return difference(before, after, [i for i in test_samples(found[0][0].evaluation) if i in rows])
    gaps = [(b.value(measure) or 0.0) - (a.value(measure) or 0.0) for a, b in found]
    cell = mean(gaps)
    p = paired([0.0] * len(gaps), gaps).p if len(gaps) > 1 else None
    return Difference(cell, cell, dict(enumerate(gaps)), 0, sum(g != 0 for g in gaps), p)


__all__ = ["matched_difference", "pairs"]
