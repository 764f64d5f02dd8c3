"""Differences between two sets of runs, paired by (seed, test sample), with two intervals and a p-value.

`samples` covers the test samples and nothing else: another set of test requests would move the number within it, the trained
models stay as they are. It says nothing about training anew, so the difference of every seed is given beside it. `both` also
draws the seeds; with few seeds it is still too narrow, because three runs hardly show how far runs scatter. Neither is
corrected for the number of questions; the p-value is, by Holm over all comparisons of a report (`comparisons.compare`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common.cells import Cell
from common.resampling import RESAMPLES, percentiles
from common.statistics import mean, paired, significant

Values = Mapping[str, float]  # by sample id; a sample without a valid value is not in it


@dataclass(frozen=True)
class Difference:
    """second − first. `samples.n` test samples were compared; `left_out` (seed, sample) pairs lack a value in either."""

    samples: Cell
    both: Cell
    seeds: dict[int, float]  # NaN where no sample of that seed could be paired
    left_out: int
    differing: int = 1  # samples that are not the same on both sides in every seed
    p: float | None = None  # sign-flip permutation test over samples, of this comparison alone
    adjusted: float | None = None  # Holm's

    @property
    def significant(self) -> bool:
        return significant(self.adjusted)


def difference(first: Mapping[int, Values], second: Mapping[int, Values], samples: Sequence[str]) -> Difference:
    """second − first, paired by (seed, sample id), averaged over the common seeds for each sample, then over samples."""
    seeds = sorted(first.keys() & second.keys())
    change = table_SN(second, seeds, samples) - table_SN(first, seeds, samples)
    finite = [row[np.isfinite(row)] for row in change]
    each = {s: float(row.mean()) if row.size else math.nan for s, row in zip(seeds, finite, strict=True)}
    gaps = of_samples(change)
    p = paired([0.0] * len(gaps), gaps).p
    differing = int((np.nan_to_num(change) != 0).any(0).sum())
    return Difference(over_samples(change), over_both(change), each, int(np.isnan(change).sum()), differing, p)


def table_SN(by_seed: Mapping[int, Values], seeds: Sequence[int], samples: Sequence[str]) -> NDArray[np.float64]:
    """Values [seeds, samples]; NaN where there is none."""
    return np.array([[by_seed[s].get(i, math.nan) for i in samples] for s in seeds], dtype=np.float64)


def over_samples(values_SN: NDArray[np.float64]) -> Cell:
    """Bootstrap over samples of each sample's mean over seeds: with one seed, the plain paired bootstrap."""
    return mean(of_samples(values_SN))


def of_samples(values_SN: NDArray[np.float64]) -> list[float]:
    """Each sample's mean over the seeds that have it."""
    return [float(v[np.isfinite(v)].mean()) for v in values_SN.T if np.isfinite(v).any()]


def over_both(values_SN: NDArray[np.float64]) -> Cell:
    """Bootstrap over seeds, then samples. All drawn seeds meet the same drawn samples, as the real ones did; drawing
    samples for each seed anew would count what the samples share as independent (crossed factors: Owen, arXiv
    0712.1111). With one seed it is `over_samples`."""
    plain = over_samples(values_SN)
    seeds = len(values_SN)
    finite = np.isfinite(values_SN)
    if seeds < 2 or plain.n == 0:
        return plain
    values_SN, finite = values_SN[:, finite.any(0)], finite[:, finite.any(0)]
    rng = np.random.default_rng(0)
    drawn_RS = rng.multinomial(seeds, [1 / seeds] * seeds, RESAMPLES)  # how often each seed is drawn
    total_RN, count_RN = drawn_RS @ np.where(finite, values_SN, 0.0), drawn_RS @ finite.astype(np.int64)
    picked_RN = rng.integers(0, plain.n, (RESAMPLES, plain.n))
    average_RN = np.take_along_axis(total_RN / np.maximum(count_RN, 1), picked_RN, 1)
    there_RN = np.take_along_axis(count_RN > 0, picked_RN, 1)  # a sample that only undrawn seeds have is not there
    some = there_RN.any(1)
    draws = (average_RN * there_RN).sum(1)[some] / there_RN.sum(1)[some]
    low, high = percentiles(draws) or (None, None)
    return replace(plain, low=low, high=high)


__all__ = ["Difference", "Values", "difference", "over_both", "over_samples", "table_SN"]
