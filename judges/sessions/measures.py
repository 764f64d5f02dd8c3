"""What a set of judged sessions comes to, turn by turn: means with 95 % intervals over sessions.

* `if`, `cc`, `ga`: the mean score of turn k (Edit-R2, arXiv 2606.05950).
* `if_so_far`: the share of sessions whose turns up to k are all followed, and `overall` = sqrt(if_so_far · cc) of the two means
  (EdiVal, arXiv 2509.13399).
* `success`: SR@k, the share of sessions whose first k turns all succeed, in following and in consistency alike.

A turn is followed, and consistent, where the score is at least SUCCESS. An invalid verdict is left out of means and counted. Of
what looks back over turns, a failure is known whatever came before or after it was invalid; without one, a session with an invalid
verdict so far is left out too. A session counts for the turns that it has. Suffixes: R resamples, N sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from common.cells import Cell
from common.errors import BadInput
from common.intervals import bootstrap_interval, differing
from common.resampling import RESAMPLES, Floats, index_draws
from common.statistics import accuracy, micro
from judges.base import Verdict
from judges.sessions.base import CC, IF, SESSION_SCORES

IF_SO_FAR, OVERALL, SUCCESS_RATE = "if_so_far", "overall", "success"
MEASURES = (*SESSION_SCORES, IF_SO_FAR, OVERALL, SUCCESS_RATE)
SUCCESS = 0.5  # of 1: the exact judge says 0 or 1, the mean of several votes is the share of those for it
ALL = "all"

Measured = dict[str, Cell]  # by MEASURES
Judged = Sequence[Sequence[Verdict]]  # sessions, turns


def by_turn(sessions: Judged, seed: int = 0) -> list[Measured]:
    """The measures of turn 1, 2, … K, of the longest session. The order of sessions does not matter."""
    return [
        _of_turn([s[: k + 1] for s in sessions if len(s) > k], seed) for k in range(max(map(len, sessions), default=0))
    ]


def by_category(sessions: Judged, categories: Sequence[str], seed: int = 0) -> dict[str, list[Measured]]:
    """`by_turn` of all sessions and of those of each category (cm, cu), one label for each session. Raises BadInput."""
    if len(categories) != len(sessions):
        raise BadInput(f"{len(categories)} categories for {len(sessions)} sessions; give one for each")
    groups = {c: [s for s, own in zip(sessions, categories, strict=True) if own == c] for c in sorted(set(categories))}
    return {name: by_turn(group, seed) for name, group in {ALL: list(sessions), **groups}.items()}


def _of_turn(prefixes: Judged, seed: int) -> Measured:
    """Of N sessions up to one turn, the last of each prefix."""
    last = [prefix[-1] for prefix in prefixes]
    scores = {name: _scores(last, name) for name in SESSION_SCORES}
    so_far = [_all(prefix, _followed) for prefix in prefixes]
    success = [_all(prefix, _succeeded) for prefix in prefixes]
    return {
        **{name: _share(values, seed) for name, values in scores.items()},
        IF_SO_FAR: _share(so_far, seed),
        OVERALL: _overall(so_far, [v.scores.get(CC) if v.valid else None for v in last], seed),
        SUCCESS_RATE: _share(success, seed),
    }


def _scores(verdicts: Sequence[Verdict], name: str) -> list[float | None]:
    """None where a verdict is invalid; those of which nothing could be scored so are left out."""
    return [v.scores[name] if v.valid else None for v in verdicts if not v.valid or name in v.scores]


def _followed(verdict: Verdict) -> bool:
    return verdict.scores.get(IF, 0.0) >= SUCCESS


def _succeeded(verdict: Verdict) -> bool:
    return _followed(verdict) and verdict.scores.get(CC, 1.0) >= SUCCESS


def _all(prefix: Sequence[Verdict], holds: Callable[[Verdict], bool]) -> float | None:
    if any(v.valid and not holds(v) for v in prefix):
        return 0.0
    return 1.0 if all(v.valid for v in prefix) else None


def _share(values: Sequence[float | None], seed: int) -> Cell:
    """The mean; what is 0 or 1 in every session is a proportion, which has an exact interval."""
    if {v for v in values if v is not None} <= {0.0, 1.0}:
        return accuracy([None if v is None else v == 1.0 for v in values], seed=seed)
    return micro(values, seed=seed)


def _overall(so_far: Sequence[float | None], consistency: Sequence[float | None], seed: int) -> Cell:
    """sqrt(mean · mean); both means are drawn together, session by session. A session without CC counts for the other mean."""
    invalid = sum(a is None for a in so_far)
    rows = sorted((a, -1.0 if b is None else b) for a, b in zip(so_far, consistency, strict=True) if a is not None)
    pairs = np.array(rows, dtype=np.float64).reshape(-1, 2)
    there = pairs[:, 1] >= 0
    if not there.any():
        return Cell.empty(invalid)
    counts = np.stack([np.ones(len(pairs)), there.astype(np.float64)], axis=1)
    sums = pairs * counts
    value = float(_geometric(sums.sum(0, keepdims=True), counts.sum(0, keepdims=True))[0])
    if len(pairs) == 1:
        return Cell(value, None, None, 1, invalid)
    draws_R = np.concatenate([
        _geometric(sums[drawn].sum(1), counts[drawn].sum(1))
        for drawn in index_draws(len(pairs), np.random.default_rng(seed), RESAMPLES)
    ])  # fmt: skip
    bounds, note = bootstrap_interval(draws_R, differing(sums, counts), len(pairs), name="sessions")
    low, high = bounds or (None, None)
    return Cell(value, low, high, len(pairs), invalid, 0, note)


def _geometric(sums_R2: Floats, counts_R2: Floats) -> Floats:
    """[R]: the geometric mean of two means; NaN where one is of nothing."""
    means = np.divide(sums_R2, counts_R2, out=np.full_like(sums_R2, np.nan), where=counts_R2 > 0)
    return np.asarray(np.sqrt(means.prod(1)), dtype=np.float64)


__all__ = [
    "ALL",
    "IF_SO_FAR",
    "MEASURES",
    "OVERALL",
    "SUCCESS",
    "SUCCESS_RATE",
    "Judged",
    "Measured",
    "by_category",
    "by_turn",
]
