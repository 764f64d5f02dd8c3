"""Which 95 % interval a mean gets, and when the reader is told that it cannot be trusted.

A bootstrap can only draw what was seen. Where nearly all units are alike (gaps that are mostly 0, scores near the top of
their scale) the few others decide the interval, and with none of them it would be a point. Therefore

* the tails are Hesterberg's for as many degrees of freedom as units differ from the most common value (`resampling.tail`);
* below FEW such units the interval is marked: by simulation (tests/common/test_coverage.py) 5 to 20 of 100 of these still
  miss the truth, against at most 7 of 100 of the unmarked;
* where no unit differs there is no interval at all, and the note says how many of all units might still differ;
* shares of right answers get the exact interval of Clopper and Pearson (1934), which needs no spread.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from common.resampling import TAILS, Floats, percentiles, tail

FEW = 5  # units that differ from the rest, below which an interval is marked


def proportion_interval(hits: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share: `hits` of `n` independent units, n at least 1."""
    low = float(betaincinv(hits, n - hits + 1, TAILS[0])) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, TAILS[1])) if hits < n else 1.0
    return low, high


def differing(sums_CK: Floats, counts_CK: Floats) -> int:
    """How many units differ from what is most common: in some kind, their mean is not the usual one of that kind."""
    there = counts_CK > 0
    means_CK = np.round(np.divide(sums_CK, counts_CK, out=np.zeros_like(sums_CK), where=there), 12)
    other = np.zeros(len(sums_CK), dtype=bool)
    for k in range(sums_CK.shape[1]):
        mine = means_CK[there[:, k], k]
        values, times = np.unique(mine, return_counts=True)
        other |= there[:, k] & (means_CK[:, k] != values[times.argmax()])
    return int(other.sum())


def bootstrap_interval(
    draws: Floats, differ: int, units: int, strata: int = 1, name: str = "values"
) -> tuple[tuple[float, float] | None, str]:
    """(interval or None, remark for the reader or "") of at least two `units`, `differ` of which are unlike the rest."""
    free = min(differ, max(units - strata, 1))
    bounds = percentiles(draws, tail(free, strata)) if differ else None
    if differ and bounds is None:
        return None, f"what differs between {name} cancels out, so there is no interval"
    if bounds is None:
        most = 100 * (1.0 - TAILS[0] ** (1 / units))
        return None, f"all {units} {name} are alike, so there is no interval; up to {most:.2g} % of all might differ"
    if differ >= FEW:
        return bounds, ""
    if units <= FEW:
        return bounds, f"only {units} {name}: the interval is a rough one"
    return (
        bounds,
        f"only {differ} of {units} {name} differ{'s' * (differ == 1)} from the rest: the interval is a rough one",
    )


def statistic_interval(draws: Floats, units: int) -> tuple[tuple[float, float] | None, str]:
    """The same of a statistic that is no mean (a correlation, a kappa), over at least two units."""
    bounds = percentiles(draws, tail(units - 1))
    if bounds is None:
        return None, "the statistic is the same, or undefined, in most resamples, so there is no interval"
    return bounds, f"only {units} independent units: the interval is a rough one" if units <= FEW else ""


__all__ = ["FEW", "bootstrap_interval", "differing", "proportion_interval", "statistic_interval"]
