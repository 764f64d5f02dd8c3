"""Agreement of a judge with human labels on comparisons: accuracy by each set's rule, rank correlation, chance-corrected agreement.

Every number is a cell with its interval (drawn over requests: comparisons of one request stay together), invalid verdicts
left out and counted. Numbers that depend on which edit is called a (correlations, kappas) are taken over both sides of
every comparison, so that a data set that always puts the preferred edit first is no special case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from benchmarks.preferences.base import TIE, TIES, A, B
from common.cells import Cell
from common.correlation import cohen_kappa, fisher_mean, fleiss_kappa, kappa_of_table, kendall, spearman
from common.errors import BadInput
from common.intervals import statistic_interval
from common.resampling import RESAMPLES, Ints, codes, statistic_draws
from common.statistics import accuracy, macro
from judges.answers import JudgedPair, mirrored
from judges.ties import SIGN, predicted, right, tie_aware_accuracy

SIDES = (B, TIE, A)  # in order of preference for a, which is what weights of a kappa go by
MANY = 5000  # comparisons above which slow statistics are drawn FEWER times
FEWER = 400

Statistic = Callable[[Sequence[JudgedPair]], float | None]


# ------------------------------------------------------------------------------------------------------- accuracies
def pair_accuracy(answers: Sequence[JudgedPair], epsilon: float = 0.0, seed: int = 0) -> Cell:
    """Share of comparisons with people's label among a, b and tie; scores within `epsilon` are a tie."""
    here, missing = _present(answers)
    marks = [right(r.human, r.margin, epsilon) for r in here]
    return accuracy(marks, clusters=[r.cluster for r in here], missing=missing, seed=seed)


def accuracy_without_ties(answers: Sequence[JudgedPair], seed: int = 0) -> Cell:
    """C / (C + D + T_m) over comparisons in which people prefer one edit; equal scores count as wrong."""
    return pair_accuracy([r for r in answers if r.human not in TIES], 0.0, seed)


def strict_accuracy(answers: Sequence[JudgedPair], seed: int = 0) -> Cell:
    """EditScore/EditReward-Bench (VectorSpaceLab/EditScore @6e0f1b9): per task type the share of comparisons whose preferred
    edit scores strictly higher, equal scores being wrong; then the unweighted mean over task types (13 published)."""
    here, missing = _present([r for r in answers if r.human not in TIES])
    marks = [_number(strict_mark(r)) for r in here]
    return macro(marks, [r.kind for r in here], clusters=[r.cluster for r in here], missing=missing, seed=seed)


def strict_mark(row: JudgedPair) -> bool | None:
    """Whether the preferred edit scores strictly higher; None without a valid verdict."""
    return None if row.margin is None else row.margin * SIGN[row.human] > 0


def group_accuracy(answers: Sequence[JudgedPair], epsilon: float = 0.0, seed: int = 0) -> dict[str, Cell]:
    """TIGER-Lab/EditReward-Bench (arXiv 2509.26346): a group of K edits is right where all its comparisons are (1, 3, 6 for
    K = 2, 3, 4), ties among them. By K ("2-way", ...) and over all groups ("all"). A group with an invalid comparison is
    invalid, not wrong as in TIGER-AI-Lab/EditReward @8460288."""
    marks = group_marks(answers, epsilon)

    def cell(ways: int | None) -> Cell:
        chosen = [m for m in marks if ways in (None, m.ways)]
        here = [m for m in chosen if not m.missing]
        left = len(chosen) - len(here)
        return accuracy([m.right for m in here], clusters=[m.cluster for m in here], missing=left, seed=seed)

    return {f"{k}-way": cell(k) for k in sorted({m.ways for m in marks})} | {"all": cell(None)}


@dataclass(frozen=True)
class GroupMark:
    """Whether all comparisons of a group are right; None where one has no valid verdict."""

    ways: int
    cluster: str
    right: bool | None
    missing: bool


def group_marks(answers: Sequence[JudgedPair], epsilon: float = 0.0) -> list[GroupMark]:
    """One per group, in the order of their names."""
    ordered = sorted(answers, key=lambda r: r.group)
    marks = []
    for _, rows in groupby(ordered, key=lambda r: r.group):
        pairs = list(rows)
        right_ones = [right(r.human, r.margin, epsilon) for r in pairs]
        mark = None if None in right_ones else all(right_ones)
        marks.append(GroupMark(pairs[0].ways, pairs[0].cluster, mark, any(r.missing for r in pairs)))
    return marks


TIED = 1e-5  # score gap below which EditReward-Compass counts two edits as equal


def dimension_accuracy(answers: Sequence[JudgedPair], seed: int = 0) -> Cell:
    """EditReward-Compass (arXiv 2605.13062): per dimension the share of pairs whose winner scores higher by more than 1e-5, or
    whose scores are within 1e-5 for a tie; then the unweighted mean over the dimensions."""
    here, missing = _present(answers)
    marks = [_number(right(r.human, r.margin, TIED)) for r in here]
    return macro(marks, [r.kind for r in here], clusters=[r.cluster for r in here], missing=missing, seed=seed)


def four_way_accuracy(answers: Sequence[JudgedPair], epsilon: float = 0.0, seed: int = 0) -> Cell:
    """GenAI-Bench (arXiv 2406.04485): exact match of a, b, tie with both good, tie with both bad. A tie without saying which
    is accepted for both: all that a judge by scores can say, within `epsilon`."""
    here, missing = _present(answers)
    marks = [four_way_mark(r, epsilon) for r in here]
    return accuracy(marks, clusters=[r.cluster for r in here], missing=missing, seed=seed)


def four_way_mark(row: JudgedPair, epsilon: float = 0.0) -> bool | None:
    """Whether the label is matched; None without a valid verdict."""
    if row.margin is None:
        return None
    label = row.label or predicted(row.margin, epsilon)
    return label == row.human or (TIE in (label, row.human) and label in TIES and row.human in TIES)


# -------------------------------------------------------------------------------- correlation and agreement by chance
def rank_correlation(answers: Sequence[JudgedPair], kind: str = "spearman", seed: int = 0) -> Cell:
    """Spearman's rho or Kendall's tau-b of the judge's margin with people's preference (1, 0, −1), over both sides."""
    if kind not in ("spearman", "kendall"):
        raise BadInput(f"kind={kind} is unknown; choose spearman or kendall")
    correlate = spearman if kind == "spearman" else kendall

    def statistic(m: NDArray[np.float64], h: NDArray[np.float64]) -> float | None:
        return correlate(np.concatenate([m, -m]), np.concatenate([h, -h])) if len(m) else None

    here, missing = _present(answers)
    valid = [r for r in here if r.margin is not None]
    m, h = np.array([r.margin for r in valid], dtype=np.float64), np.array([SIGN[r.human] for r in valid])
    return _cell(lambda i: statistic(m[i], h[i]), valid, len(here) - len(valid), missing, seed)


def kappa(answers: Sequence[JudgedPair], weights: str = "none", epsilon: float = 0.0, seed: int = 0) -> Cell:
    """Cohen's kappa of judge and people over b, tie and a, both sides of every comparison; weighted by their order."""
    here, missing = _present(answers)
    valid = [r for r in here if r.margin is not None]
    place = {label: i for i, label in enumerate(SIDES)} | dict.fromkeys(TIES, SIDES.index(TIE))
    people = np.array([place[r.human] for r in valid], dtype=np.int64)
    judge = np.array([place[predicted(r.margin or 0.0, epsilon)] for r in valid], dtype=np.int64)

    def statistic(i: Ints) -> float | None:
        table = np.bincount(people[i] * 3 + judge[i], minlength=9).reshape(3, 3).astype(np.float64)
        return kappa_of_table(table + table[::-1, ::-1], weights)  # the other side: a and b exchanged

    return _cell(statistic, valid, len(here) - len(valid), missing, seed)


def rater_kappa(answers: Sequence[JudgedPair], seed: int = 0) -> Cell:
    """Fleiss' kappa among the human raters over b, tie and a, both sides of every comparison. Comparisons with another
    number of raters than most have are left out, which the note says."""
    voted = [r for r in answers if len(r.votes) >= 2]
    if not voted:
        return Cell.empty(note="no votes of single raters")
    sizes = [len(r.votes) for r in voted]
    usual = max(set(sizes), key=lambda s: (sizes.count(s), s))
    used = [r for r in voted if len(r.votes) == usual]
    sign = {-1.0: 0, 0.0: 1, 1.0: 2}
    counts = np.array([np.bincount([sign[SIGN[v]] for v in r.votes], minlength=3) for r in used], dtype=np.float64)

    def statistic(i: Ints) -> float | None:
        return fleiss_kappa(np.concatenate([counts[i], counts[i][:, ::-1]]))

    cell = _cell(statistic, used, 0, 0, seed)
    left = len(answers) - len(used)
    note = f"{usual} raters each" + (f"; {left} comparisons with another number left out" if left else "")
    return Cell(cell.value, cell.low, cell.high, cell.n, note="; ".join(filter(None, [note, cell.note])))


def _cell(
    statistic: Callable[[Ints], float | None], rows: Sequence[JudgedPair], invalid: int, missing: int, seed: int
) -> Cell:
    """A statistic of row numbers with its interval over clusters."""
    if not rows:
        return Cell.empty(invalid, missing)
    value = statistic(np.arange(len(rows)))
    if value is None:
        return Cell(None, None, None, len(rows), invalid, missing, "undefined: one side never varies")
    unit, units = codes([r.cluster for r in rows])
    draws = RESAMPLES if len(rows) <= MANY else FEWER
    if units < 2:
        return Cell(value, None, None, len(rows), invalid, missing)
    bounds, note = statistic_interval(statistic_draws(statistic, unit, seed, draws), units)
    low, high = bounds or (None, None)
    return Cell(value, low, high, len(rows), invalid, missing, note)


def _number(mark: bool | None) -> float | None:
    return None if mark is None else float(mark)


def _present(answers: Sequence[JudgedPair]) -> tuple[list[JudgedPair], int]:
    """The rows that were judged, and how many were not yet."""
    here = [r for r in answers if not r.missing]
    return here, len(answers) - len(here)


__all__ = [
    "SIDES",
    "TIED",
    "GroupMark",
    "JudgedPair",
    "accuracy_without_ties",
    "cohen_kappa",
    "dimension_accuracy",
    "fisher_mean",
    "fleiss_kappa",
    "four_way_accuracy",
    "four_way_mark",
    "group_accuracy",
    "group_marks",
    "kappa",
    "kendall",
    "mirrored",
    "pair_accuracy",
    "rank_correlation",
    "rater_kappa",
    "spearman",
    "strict_accuracy",
    "strict_mark",
    "tie_aware_accuracy",
]
