"""Accuracy on comparisons that may be ties (Deutsch, Foster and Freitag, arXiv 2305.14324).

A scoring judge says "tie" where its two scores differ by at most epsilon. That paper, and the evaluation of
TIGER-AI-Lab/EditReward, choose the epsilon that does best on the very pairs that are then reported, which flatters judges
with coarse scores. Here it is chosen on one half of the requests and applied to the other.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.preferences.base import TIE, TIES, A, B
from common.cells import Cell
from common.errors import BadInput
from common.resampling import codes
from common.statistics import accuracy

SIGN = {A: 1.0, B: -1.0} | dict.fromkeys(TIES, 0.0)


def predicted(margin: float, epsilon: float = 0.0) -> str:
    """a, b or tie from score(a) − score(b)."""
    return TIE if abs(margin) <= epsilon else A if margin > 0 else B


def best_epsilon(human: Sequence[str], margins: Sequence[float]) -> tuple[float, float]:
    """(epsilon, its accuracy on these pairs): the epsilon among 0 and the |margins| with the highest share of right answers
    (C + T_hm) / n, the smallest of equals. (0, 0) for no pairs."""
    if not human:
        return 0.0, 0.0
    sign, m = np.array([SIGN[h] for h in human]), np.asarray(margins, dtype=np.float64)
    order = np.argsort(np.abs(m), kind="stable")
    size, tie, right = np.abs(m)[order], sign[order] == 0, (sign * m > 0)[order]
    # pairs up to position i are ties at epsilon = size[i]: right if people tied; the rest is right in its direction
    hits = np.cumsum(tie) + right.sum() - np.cumsum(right)
    last = np.append(size[1:] != size[:-1], True)  # of equal sizes all become ties together
    epsilons, hits = size[last], hits[last]
    if epsilons[0] > 0:
        epsilons, hits = np.append(0.0, epsilons), np.append(right.sum(), hits)
    best = int(hits.argmax())
    return float(epsilons[best]), float(hits[best] / len(m))


def halves(labels: Sequence[Hashable], seed: int = 0) -> list[bool]:
    """True for the half on which epsilon is chosen. Rows with the same label (request) go into the same half; the split
    depends on the labels and the seed, not on the order of rows."""
    unit, units = codes(labels)
    chosen = np.zeros(units, dtype=bool)
    chosen[np.random.default_rng([seed, 23]).permutation(units)[: units // 2]] = True
    return [bool(c) for c in chosen[unit]] if units else []


@dataclass(frozen=True)
class TieAware:
    """`test` is the number to report: accuracy on the half that did not choose `epsilon`. `calibration` is what was reached
    where it was chosen, `in_sample` what choosing on all pairs would show, as others print it: both are too high."""

    epsilon: float | None
    test: Cell
    calibration: float | None
    in_sample: float | None
    n_calibration: int
    half: str

    def as_dict(self) -> dict[str, object]:
        return {
            "epsilon": self.epsilon,
            "epsilon_chosen_on": self.half,
            "n_calibration": self.n_calibration,
            "accuracy_test_half": self.test.as_dict(),
            "accuracy_calibration_half": self.calibration,
            "accuracy_epsilon_chosen_on_all_pairs": self.in_sample,
        }


def tie_aware_accuracy(
    human: Sequence[str],
    margins: Sequence[float | None],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    missing: Sequence[bool] | None = None,
) -> TieAware:
    """Epsilon from one half of the clusters, accuracy on the other, whose interval is over clusters and takes epsilon as it
    is. `margins`: None where a verdict is invalid, or `missing` (not judged yet). The split covers all rows, so that it does
    not change as more are judged. Raises BadInput where there are fewer than two clusters."""
    if len(set(clusters)) < 2:
        raise BadInput("choosing epsilon on a separate half needs at least two requests")
    first = halves(clusters, seed)
    gone = list(missing) if missing is not None else [False] * len(human)
    judged = [i for i, m in enumerate(margins) if m is not None]
    mine, other = [i for i in judged if first[i]], [i for i in range(len(human)) if not first[i] and not gone[i]]
    left = sum(g and not f for g, f in zip(gone, first, strict=True))
    half = f"half of the requests, drawn with seed {seed}: {len(mine)} of {len(judged)} valid pairs"
    if not mine:
        note = "no valid pair to choose epsilon on"
        return TieAware(None, Cell.empty(len(other), left, note), None, None, 0, half)
    epsilon, reached = best_epsilon([human[i] for i in mine], [m for i in mine if (m := margins[i]) is not None])
    everywhere = best_epsilon([human[i] for i in judged], [m for m in margins if m is not None])[1]
    test = accuracy(
        [right(human[i], margins[i], epsilon) for i in other],
        clusters=[clusters[i] for i in other],
        missing=left,
        seed=seed,
    )
    return TieAware(epsilon, test, reached, everywhere, len(mine), half)


def right(human: str, margin: float | None, epsilon: float = 0.0) -> bool | None:
    """Whether the judge's answer is people's, ties among the answers; None where the judge gave none."""
    if margin is None:
        return None
    return SIGN[predicted(margin, epsilon)] == SIGN[human]


__all__ = ["SIGN", "TieAware", "best_epsilon", "halves", "predicted", "right", "tie_aware_accuracy"]
