"""Bootstrap and sign-flip draws: seeded, vectorised, in constant memory.

The unit of a draw is an item, or a cluster of items that share something (the turns of a session, the pairs of one request)
and are drawn together. Suffixes: `C` units, `K` kinds, `R` resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 2000
FLIPS = 10_000
LEVEL = 0.95
TAILS = (0.025, 0.975)
CHUNK = 1 << 20  # numbers drawn at a time, so that memory does not grow with items times resamples
EXACT_UNITS = 13  # up to so many units all 2^C sign patterns are fewer than FLIPS and are all counted


def codes(labels: Sequence[Hashable]) -> tuple[Ints, int]:
    """Labels as numbers from 0, and how many different ones there are; sorted by their text, so that the order of the
    rows does not matter."""
    numbers = {label: i for i, label in enumerate(sorted(set(labels), key=lambda v: (str(v), type(v).__name__)))}
    return np.array([numbers[label] for label in labels], dtype=np.int64), len(numbers)


def index_draws(units: int, rng: np.random.Generator, resamples: int) -> Iterator[Ints]:
    """[r, C] at a time: the numbers of the drawn units; all in all `resamples` rows."""
    step = max(1, CHUNK // max(units, 1))
    for start in range(0, resamples, step):
        yield rng.integers(0, units, (min(step, resamples - start), units))


def ratio_draws(sums_C: Floats, counts_C: Floats, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """[R]: the bootstrap's Σ sums / Σ counts. With counts of 1 it is the mean's, with clusters the ratio estimator's."""
    equal = bool((counts_C == counts_C[0]).all())
    parts = []
    for drawn in index_draws(len(sums_C), rng, resamples):
        n = counts_C[0] * len(counts_C) if equal else counts_C[drawn].sum(1)
        parts.append(sums_C[drawn].sum(1) / n)
    return np.concatenate(parts)


def crossed_draws(sums_CK: Floats, counts_CK: Floats, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """[R]: unweighted mean over kinds of Σ sums / Σ counts, where one cluster may hold items of several kinds. A kind of
    which nothing was drawn is left out of that draw."""
    units, kinds = sums_CK.shape
    both = np.concatenate([sums_CK, counts_CK], axis=1)
    parts = []
    for drawn in index_draws(units, rng, resamples):
        flat = (drawn + np.arange(len(drawn))[:, None] * units).ravel()
        times_RC = np.bincount(flat, minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
        totals = times_RC @ both
        n_RK = totals[:, kinds:]
        means_RK = np.divide(totals[:, :kinds], n_RK, out=np.zeros_like(n_RK), where=n_RK > 0)
        parts.append(means_RK.sum(1) / (n_RK > 0).sum(1))
    return np.concatenate(parts)


def statistic_draws(
    statistic: Callable[[Ints], float | None],
    clusters: Ints,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Floats:
    """[R]: any statistic of the drawn rows' numbers, for what is no mean (rank correlations, kappa). `clusters[i]` is the
    unit of row i, numbered from 0. NaN where the statistic is undefined on a draw (None or NaN)."""
    order = np.argsort(clusters, kind="stable")
    sizes = np.bincount(clusters)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    single = bool((sizes == 1).all())
    rng = np.random.default_rng(seed)
    out = []
    for drawn in index_draws(len(sizes), rng, resamples):
        for units in drawn:
            if single:
                rows = order[units]
            else:
                n = sizes[units]
                inner = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
                rows = order[np.repeat(starts[units], n) + inner]
            value = statistic(rows)
            out.append(math.nan if value is None else value)
    return np.array(out)


def tail(free: int, strata: int = 1) -> float:
    """The share of draws that an interval leaves out on each side: Hesterberg's expanded percentile interval (arXiv
    1411.5279, section 5.2), Φ(t · sqrt((free + strata) / free)) with Student's t of `free` degrees of freedom. It is 0.025
    for many units, and smaller for few, which a plain percentile interval covers too rarely."""
    if free < 1:
        return 0.0
    return float(ndtr(stdtrit(free, TAILS[0]) * math.sqrt((free + strata) / free)))


def percentiles(draws: Floats, tail: float = TAILS[0]) -> tuple[float, float] | None:
    """The interval of the finite draws without `tail` of them on each side; None where fewer than half are finite, and where
    no draw differs from another, which says nothing about the spread."""
    known = draws[np.isfinite(draws)]
    if 2 * known.size < draws.size or not known.size:
        return None
    low, high = np.quantile(known, (tail, 1.0 - tail))
    if high - low <= 1e-12 * max(1.0, abs(high)):
        return None
    return float(low), float(high)


def flip_p_value(parts_C: Floats, seed: int = 0, flips: int = FLIPS) -> float:
    """Two-sided p-value of the sign-flip permutation test of Σ parts = 0 (Fisher's; valid where each unit's difference is
    symmetric about 0 under the hypothesis). Up to EXACT_UNITS units it is exact over all 2^C patterns; beyond, it is
    (1 + hits) / (1 + flips) (Phipson and Smyth, arXiv 1603.05766), never 0.

    Eight units at a time have one of 256 patterns of signs, whose sums are looked up by a random byte.
    """
    parts_C = parts_C[parts_C != 0]  # both signs of 0 are the same
    if not parts_C.size:
        return 1.0
    slack = 1e-12 * float(np.abs(parts_C).sum())  # the same sum in another order is not more extreme
    observed = abs(float(parts_C.sum())) - slack
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    signs = 2.0 * bits - 1.0
    if parts_C.size <= EXACT_UNITS:
        sums = np.zeros(1)
        for part in parts_C:
            sums = np.concatenate([sums + part, sums - part])
        return float((np.abs(sums) >= observed).mean())
    groups = np.pad(parts_C, (0, -parts_C.size % 8)).reshape(-1, 8)
    sums_GB = (groups @ signs.T).ravel()
    offsets = np.arange(len(groups)) * 256
    rng = np.random.default_rng(seed)
    step, hits = max(1, CHUNK // len(groups)), 0
    for start in range(0, flips, step):
        patterns = rng.integers(0, 256, (min(step, flips - start), len(groups)), dtype=np.uint8)
        hits += int((np.abs(sums_GB[patterns + offsets].sum(1)) >= observed).sum())
    return (1 + hits) / (1 + flips)


__all__ = [
    "EXACT_UNITS",
    "FLIPS",
    "LEVEL",
    "RESAMPLES",
    "TAILS",
    "codes",
    "crossed_draws",
    "flip_p_value",
    "index_draws",
    "percentiles",
    "ratio_draws",
    "statistic_draws",
    "tail",
]
