"""Rank correlations and chance-corrected agreement, as plain numbers; None where a formula is undefined.

Spearman and Kendall's tau-b are scipy's. Cohen's kappa (1960; weighted: 1968) and Fleiss' (1971) are written out: scipy has
neither, and they are a few lines.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from common.errors import BadInput

WEIGHTS = ("none", "linear", "quadratic")
ATANH_LIMIT = 1 - 1e-7  # atanh(1) is infinite: a perfect correlation counts as one that is almost perfect


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Spearman's rho, ties at their average rank; None for fewer than two points or where either side is constant."""
    rho = _ranked(np.asarray(x, dtype=np.float64)[None], np.asarray(y, dtype=np.float64)[None])[0]
    return None if math.isnan(rho) else float(rho)


def _ranked(x_MN: NDArray[np.float64], y_MN: NDArray[np.float64]) -> NDArray[np.float64]:
    """[M] Spearman's rho of each row; NaN where undefined. Rows at once, because a bootstrap needs thousands."""
    if x_MN.shape != y_MN.shape:
        raise BadInput(f"a correlation needs two lists of the same length, not {x_MN.shape} and {y_MN.shape}")
    if x_MN.shape[1] < 2:
        return np.full(len(x_MN), math.nan)
    a, b = (stats.rankdata(v, axis=1) for v in (x_MN, y_MN))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    scale = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    out = np.full(len(a), math.nan)
    np.divide((a * b).sum(1), scale, out=out, where=scale > 1e-12)
    return np.clip(out, -1.0, 1.0)


def spearman_rows(x_MN: ArrayLike, y_MN: ArrayLike) -> list[float | None]:
    """`spearman` of each row of two tables."""
    rhos = _ranked(np.asarray(x_MN, dtype=np.float64), np.asarray(y_MN, dtype=np.float64))
    return [None if math.isnan(r) else float(r) for r in rhos]


def kendall(x: ArrayLike, y: ArrayLike) -> float | None:
    """Kendall's tau-b, which corrects for ties on either side; None where undefined."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) < 2 or (x == x[0]).all() or (y == y[0]).all():
        return None
    return float(stats.kendalltau(x, y, variant="b").statistic)


def fisher_mean(correlations: Sequence[float | None]) -> float | None:
    """tanh of the mean of atanh(r); None entries are left out.

    The evaluation of TIGER-AI-Lab/EditReward @8460288 averages r itself and takes the tanh of that mean, as though r were
    z already: every average comes out too small (0.5 and 0.5 give tanh 0.5 = 0.46). Numbers from there are not comparable.
    """
    defined = [r for r in correlations if r is not None]
    if not defined:
        return None
    z = np.arctanh(np.clip(defined, -ATANH_LIMIT, ATANH_LIMIT))
    return float(np.tanh(z.mean()))


def cohen_kappa(
    first: Sequence[Hashable], second: Sequence[Hashable], labels: Sequence[Hashable], weights: str = "none"
) -> float | None:
    """1 − Σ w o / Σ w e over the table of two raters' labels: o observed, e expected from the margins. `weights`: none (any
    disagreement costs 1), linear or quadratic in the distance of the labels, whose order then matters. None for no items,
    or where chance alone would agree fully (both raters use one and the same label)."""
    if weights not in WEIGHTS:
        raise BadInput(f"weights={weights} is unknown; choose {', '.join(WEIGHTS)}")
    place = {label: i for i, label in enumerate(labels)}
    if unknown := sorted({str(v) for v in (*first, *second) if v not in place}):
        raise BadInput(f"label {unknown[0]!r} is none of {', '.join(map(str, labels))}")
    table = np.zeros((len(place), len(place)))
    np.add.at(table, ([place[v] for v in first], [place[v] for v in second]), 1.0)
    return kappa_of_table(table, weights)


def kappa_of_table(table: NDArray[np.float64], weights: str = "none") -> float | None:
    """Cohen's kappa of a table of counts [first rater's label, second rater's]."""
    n = table.sum()
    if n == 0:
        return None
    gap = np.abs(np.subtract.outer(np.arange(len(table)), np.arange(len(table)))).astype(np.float64)
    cost = {"none": (gap > 0).astype(np.float64), "linear": gap, "quadratic": gap**2}[weights]
    expected = (cost * np.outer(table.sum(1), table.sum(0))).sum() / n**2
    return None if expected == 0 else float(1 - (cost * table).sum() / n / expected)


def fleiss_kappa(counts_NK: ArrayLike) -> float | None:
    """Fleiss' kappa of how many raters put item n into category k. Every item needs the same number of raters, at least
    two (BadInput otherwise). None for no items, or where all ratings are one category."""
    counts = np.asarray(counts_NK, dtype=np.float64)
    if counts.size == 0:
        return None
    raters = counts.sum(1)
    if (raters != raters[0]).any() or raters[0] < 2:
        raise BadInput(f"Fleiss' kappa needs the same number of raters (2 or more) on every item, not {set(raters)}")
    m = raters[0]
    agreement_N = ((counts**2).sum(1) - m) / (m * (m - 1))
    chance = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    return None if chance == 1 else float((agreement_N.mean() - chance) / (1 - chance))


__all__ = [
    "WEIGHTS",
    "cohen_kappa",
    "fisher_mean",
    "fleiss_kappa",
    "kappa_of_table",
    "kendall",
    "spearman",
    "spearman_rows",
]
