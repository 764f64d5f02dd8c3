"""A sweep in numbers: means of each configuration, and the comparisons that its runs allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from common.cells import Cell, remarks
from common.statistics import mean
from experiments.reports.sweep.comparisons import Comparison, compare, test_samples, unfit
from experiments.reports.sweep.differences import Difference, over_both, table_SN
from experiments.reports.sweep.measures import Measure, MeasureSet
from experiments.reports.sweep.runs import Run, differing, grouped

MEANS = "mean over seeds; 95 % interval over test samples and, where there are several, seeds"
SEEDS_ONLY = "mean over seeds; 95 % interval over seeds alone, for the rows of the test samples are not there or differ"


def over(runs: Sequence[Run], measure: Measure) -> Cell:
    """Over seeds and test samples where every run has rows of the same samples, else over seeds alone."""
    measured = sorted((r for r in runs if r.value(measure) is not None), key=lambda r: r.seed)
    if measure.samples is None or not measured or not has_rows(measured, measure):
        return over_seeds(measured, measure)
    by_run = {n: measure.samples(r.evaluation) for n, r in enumerate(measured)}
    return over_both(table_SN(by_run, list(by_run), list(test_samples(measured[0].evaluation))))


def over_seeds(runs: Sequence[Run], measure: Measure) -> Cell:
    return mean([r.value(measure) for r in runs])


def has_rows(runs: Sequence[Run], measure: Measure) -> bool:
    """Whether every run that has the measure has rows of the same test samples."""
    if measure.samples is None:
        return False
    measured = [r for r in runs if r.value(measure) is not None]
    same = not unfit([(r.seed, r.evaluation) for r in measured], once=False)
    return all(measure.samples(r.evaluation) for r in measured) and same


@dataclass(frozen=True)
class Sweep:
    """Everything the tables show: runs by configuration, means per measure, comparisons."""

    name: str
    runs: list[Run]
    keys: list[str]
    groups: dict[tuple[str, ...], list[Run]]
    measures: list[Measure]  # those that some run has
    means: dict[tuple[str, ...], dict[str, Cell]]  # by configuration and the measure's name
    title: str  # what the means are of
    comparisons: list[Comparison]
    shown: MeasureSet
    absent: tuple[str, ...] = ()  # a line for each run that failed or has not ended

    @classmethod
    def of(cls, name: str, runs: Sequence[Run], shown: MeasureSet, absent: Sequence[str] = ()) -> Self:
        keys = differing(runs)
        groups = grouped(runs, keys)
        measures = [m for m in shown.measures if any(m.name in r.measures for r in runs)]
        rows = all(has_rows(members, m) for members in groups.values() for m in measures if m.samples)
        average = over if rows else over_seeds  # one kind of interval for all measures that have rows
        means = {key: {m.name: average(members, m) for m in measures} for key, members in groups.items()}
        seeded = {key: [(r.seed, r.evaluation) for r in members] for key, members in groups.items()}
        title = MEANS if rows else SEEDS_ONLY
        answers = compare(keys, seeded, shown)
        return cls(name, list(runs), keys, groups, measures, means, title, answers, shown, tuple(absent))

    @property
    def judged(self) -> str:
        """ " on benchmark=sandbox, judged by judge=sandbox": of both what all runs share."""
        words = {"benchmark": " on benchmark={}", "judge": ", scores by judge={}"}
        shared = {key: {r.choices.get(key, "") for r in self.runs} for key in words}
        return "".join(text.format(*shared[key]) for key, text in words.items() if len(shared[key]) == 1)

    @property
    def answered(self) -> list[tuple[Comparison, Difference]]:
        """Questions with a difference; where no test sample differs at all, `equal` says so in place of a row of zeros."""
        return [(c, d) for c in self.comparisons if (d := c.difference) is not None and d.differing]

    @property
    def equal(self) -> list[str]:
        """Questions whose two sides are the same on every test sample, as one sentence; empty where there are none."""
        same = [c for c in self.comparisons if c.difference is not None and not c.difference.differing]
        places = {c.where: [other.question for other in same if other.where == c.where] for c in same}
        lines = [f"{where}: {', '.join(questions)}" for where, questions in places.items()]
        return [f"The same on every test sample, so in no row: {'; '.join(lines)}."] if lines else []

    @property
    def remarks(self) -> list[str]:
        """What the stars of the tables stand for."""
        return remarks([c for by_measure in self.means.values() for c in by_measure.values()] + self._gaps)

    @property
    def _gaps(self) -> list[Cell]:
        return [cell for _, d in self.answered for cell in (d.samples, *([d.both] if len(d.seeds) > 1 else []))]

    @property
    def refused(self) -> list[str]:
        """What could not be compared, with the reason."""
        return [f"{c.where}, {c.question}: {c.refused}" for c in self.comparisons if c.refused]

    @property
    def notes(self) -> list[str]:
        """What must be said of the measures that are shown, each once."""
        keys = {m.key for m in self.measures}
        return list(dict.fromkeys(text for key, text in self.shown.notes if key in keys))
