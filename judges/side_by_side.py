"""Several judges on the same comparisons: each one's accuracy, and what it is better or worse than the first.

Differences are paired: both judges on the comparisons for which both have a valid verdict, drawn together by request, with the
p-value of `common.statistics.paired`. All differences to the first judge, of all measures, are one family for Holm's method.
A judge is the best of a measure only where it is significantly better than each of the others (a family of their own).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.preferences.base import DIMENSIONS, FOUR_WAY, GROUPS, STRICT, TIES
from common.cells import Cell
from common.errors import BadInput
from common.statistics import Difference, holm_adjusted, paired
from judges import agreement
from judges.answers import JudgedPair
from judges.ties import halves, right, tie_aware_accuracy

Answers = Sequence[JudgedPair]


@dataclass(frozen=True)
class Marks:
    """What one judge got right, per unit of a measure (a comparison, or a group of them): 1, 0, or None without a valid
    verdict. `kinds`: what an unweighted mean is taken over; None for the plain mean."""

    values: tuple[float | None, ...]
    clusters: tuple[str, ...]
    kinds: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ComparedMeasure:
    """`cells` has one cell per judge, `differences` one per judge after the first: that judge − the first. `best`: the number
    of the judge that is significantly better than every other, or None."""

    name: str
    title: str
    how: str
    cells: tuple[Cell, ...]
    differences: tuple[Difference, ...]
    best: int | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "how": self.how,
            "cells": [cell.as_dict() for cell in self.cells],
            "minus_first": [d.as_dict() for d in self.differences],
            "best": self.best,
        }


@dataclass(frozen=True)
class _Measure:
    name: str
    title: str
    how: str
    cell: Callable[[Answers, int], Cell]
    marks: Callable[[Answers, int], Marks]


def compare_judges(rule: str, answers_of: Sequence[Answers], seed: int = 0) -> list[ComparedMeasure]:
    """The measures of a set with this rule, the set's own first. `answers_of`: each judge's answers to the same comparisons, in
    the same order. Raises BadInput for fewer than two judges and for answers to other comparisons."""
    if len(answers_of) < 2:
        raise BadInput(f"{len(answers_of)} judge cannot be compared; give two or more")
    for other in answers_of[1:]:
        if [(r.group, r.human, r.cluster) for r in other] != [(r.group, r.human, r.cluster) for r in answers_of[0]]:
            raise BadInput("the judges answered different comparisons")
    measures = _measures(rule, answers_of[0])
    marks = [[m.marks(answers, seed) for answers in answers_of] for m in measures]
    raw = [_difference(of[0], mark, seed) for of in marks for mark in of[1:]]
    adjusted = iter(holm_adjusted(raw))
    return [
        ComparedMeasure(
            name=m.name,
            title=m.title,
            how=m.how,
            cells=(cells := tuple(m.cell(answers, seed) for answers in answers_of)),
            differences=tuple(next(adjusted) for _ in answers_of[1:]),
            best=_best(cells, of, seed),
        )
        for m, of in zip(measures, marks, strict=True)
    ]


def _difference(first: Marks, second: Marks, seed: int) -> Difference:
    return paired(first.values, second.values, kinds=first.kinds, clusters=first.clusters, seed=seed)


def _best(cells: Sequence[Cell], marks: Sequence[Marks], seed: int) -> int | None:
    known = [(cell.value, -k) for k, cell in enumerate(cells) if cell.value is not None and not cell.partial]
    if len(known) < len(cells):
        return None
    top = -max(known)[1]
    gaps = holm_adjusted([_difference(mark, marks[top], seed) for k, mark in enumerate(marks) if k != top])
    better = all(gap.significant and gap.cell.value is not None and gap.cell.value > 0 for gap in gaps)
    return top if better else None


# -------------------------------------------------------------------------------------------------------------- measures
def _measures(rule: str, answers: Answers) -> list[_Measure]:
    """The set's own measure, then what every set has; tie-aware accuracy only where there are ties. Where scores that are equal
    count as a tie, a judge whose scores hardly ever are would never be right about one."""
    tie_aware = _Measure(
        "tie_aware_accuracy",
        "tie-aware accuracy",
        "order or tie right (arXiv 2305.14324), each judge by the epsilon that it chose on the other half",
        lambda a, seed: agreement.pair_accuracy(_second_half(a, seed), _epsilon(a, seed), seed),
        _tie_aware_marks,
    )
    clear = _Measure(
        "accuracy_without_ties",
        "pairs that the labels do not tie",
        "share that the judge orders right; a tie of the judge is wrong",
        agreement.accuracy_without_ties,
        lambda a, seed: _marks(_clear(a), lambda r: right(r.human, r.margin, 0.0)),
    )
    own = _OWN.get(rule)
    tied = any(r.human in TIES for r in answers) and len({r.cluster for r in answers}) > 1
    return [*([own] if own else []), *([tie_aware] if tied else []), clear]


def _epsilon(answers: Answers, seed: int) -> float:
    """The judge's own, chosen on the first half of the requests; 0 for one that compares, and says itself what is a tie."""
    if any(r.label for r in answers):
        return 0.0
    clusters, missing = [r.cluster for r in answers], [r.missing for r in answers]
    human, margins = [r.human for r in answers], [r.margin for r in answers]
    return tie_aware_accuracy(human, margins, clusters, seed=seed, missing=missing).epsilon or 0.0


def _second_half(answers: Answers, seed: int) -> list[JudgedPair]:
    """The requests that chose no epsilon: the same for all judges."""
    chosen = halves([r.cluster for r in answers], seed)
    return [r for r, mine in zip(answers, chosen, strict=True) if not mine]


def _tie_aware_marks(answers: Answers, seed: int) -> Marks:
    epsilon = _epsilon(answers, seed)
    return _marks(_second_half(answers, seed), lambda r: right(r.human, r.margin, epsilon))


def _clear(answers: Answers) -> list[JudgedPair]:
    return [r for r in answers if r.human not in TIES]


def _marks(answers: Answers, mark: Callable[[JudgedPair], bool | None], by_kind: bool = False) -> Marks:
    values = (mark(r) for r in answers)
    return Marks(
        tuple(None if v is None else float(v) for v in values),
        tuple(r.cluster for r in answers),
        tuple(r.kind for r in answers) if by_kind else None,
    )


def _group_marks(answers: Answers, seed: int) -> Marks:
    groups = agreement.group_marks(answers)
    values = tuple(None if g.right is None else float(g.right) for g in groups)
    return Marks(values, tuple(g.cluster for g in groups))


_OWN: Mapping[str, _Measure] = {
    GROUPS: _Measure(
        "group_accuracy",
        "groups",
        "all comparisons of a group right; equal scores are a tie",
        lambda a, seed: agreement.group_accuracy(a, seed=seed)["all"],
        _group_marks,
    ),
    STRICT: _Measure(
        "strict_accuracy",
        "strict accuracy",
        "preferred edit strictly higher, unweighted mean over task types",
        agreement.strict_accuracy,
        lambda a, seed: _marks(_clear(a), agreement.strict_mark, by_kind=True),
    ),
    DIMENSIONS: _Measure(
        "dimension_accuracy",
        "dimensions",
        "winner higher, or equal within 1e-5 for a tie; unweighted mean over dimensions",
        agreement.dimension_accuracy,
        lambda a, seed: _marks(a, lambda r: right(r.human, r.margin, agreement.TIED), by_kind=True),
    ),
    FOUR_WAY: _Measure(
        "four_way_accuracy",
        "four-way accuracy",
        "exact match of a, b, both good, both bad; a tie without saying which counts for both",
        lambda a, seed: agreement.four_way_accuracy(a, seed=seed),
        lambda a, seed: _marks(a, agreement.four_way_mark),
    ),
}


__all__ = ["ComparedMeasure", "Marks", "compare_judges"]
