"""Means with 95 % bootstrap intervals, in the form that a run's tables and plots use; common/statistics.py draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.resampling import RESAMPLES
from common.statistics import mean_interval


@dataclass(frozen=True)
class Mean:
    """A mean of n values with its 95 % percentile interval; NaN where there are no values."""

    value: float
    low: float
    high: float
    n: int

    def text(self, digits: int = 2) -> str:
        """The mean, and under it the interval."""
        if self.n == 0:
            return "–"
        return f"{self.value:.{digits}f}\n{self.low:.{digits}f}–{self.high:.{digits}f}"


def mean(values: Sequence[float]) -> Mean:
    """Percentile bootstrap over samples; an interval of one value is the value itself."""
    x = np.asarray([v for v in values if v is not None and math.isfinite(v)], dtype=np.float64)
    if x.size == 0:
        return Mean(math.nan, math.nan, math.nan, 0)
    return Mean(float(x.mean()), *mean_interval(x), int(x.size))


def paired(first: Sequence[float | None], second: Sequence[float | None]) -> Mean:
    """second − first over the samples where both are there: the same samples, so the interval is of the difference."""
    return mean([b - a for a, b in zip(first, second, strict=True) if a is not None and b is not None])


__all__ = ["RESAMPLES", "Mean", "mean", "paired"]
