"""Means with 95 % intervals, paired differences with p-values, and correction for several comparisons.

* micro: the mean over items. Interval: bootstrap over items, or over clusters (sessions) where given: the items of a
  cluster are drawn together, so that turns of one session do not count as independent.
* macro: the unweighted mean over kinds of each kind's mean. Interval: stratified, items (or clusters) are drawn anew
  within each kind, whose number stays as it is: the kinds are the benchmark's, not a sample of kinds. Where a cluster
  holds items of several kinds, clusters are drawn from all, and a kind that was not drawn is left out of that draw.
* mean: as micro, of plain numbers, those that are missing or not finite left out.
* accuracy: a share of right answers, with the exact interval of a proportion where the units are single items.
* paired: second − first over the items that both have. Interval as above; p-value by the sign-flip permutation test
  over the same units.

Draws are seeded and do not depend on the order of rows: the same rows give the same interval. Intervals are expanded
percentile intervals; those that cannot be trusted are marked by a note (common/intervals.py says when).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.cells import Cell
from common.errors import BadInput
from common.intervals import bootstrap_interval, differing, proportion_interval
from common.resampling import (
    EXACT_UNITS,
    FLIPS,
    LEVEL,
    RESAMPLES,
    Floats,
    codes,
    crossed_draws,
    flip_p_value,
    ratio_draws,
)

Values = Sequence[float | None]  # None: invalid
Labels = Sequence[Hashable]


def mean(values: Values, *, shares: bool = False) -> Cell:
    """The mean of plain numbers; None and what is not finite is left out and not counted. `shares`: the values lie between 0
    and 1, so that values that are all 0 or 1 are a proportion, which has an exact interval."""
    x = [float(v) for v in values if v is not None and math.isfinite(v)]
    if shares and x and set(x) <= {0.0, 1.0}:
        return accuracy([v == 1.0 for v in x])
    return micro(x)


def mean_difference(first: Values, second: Values) -> Cell:
    """The mean of second − first over the samples that have both, so that the interval is that of the difference."""
    return mean([b - a for a, b in zip(first, second, strict=True) if a is not None and b is not None])


def micro(values: Values, *, clusters: Labels | None = None, missing: int = 0, seed: int = 0) -> Cell:
    """Mean over items. `values`: one per judged item, None where the verdict is invalid; `clusters`: one label per item
    (its session). Raises BadInput for a value that is not finite and for lists of different lengths."""
    return _mean(values, None, clusters, missing, seed)


def macro(values: Values, kinds: Labels, *, clusters: Labels | None = None, missing: int = 0, seed: int = 0) -> Cell:
    """Unweighted mean over `kinds` (one label per item) of each kind's mean over its valid items. A kind without any valid
    item is left out and named in the note, as is the number of kinds with a single one (no spread within them)."""
    return _mean(values, kinds, clusters, missing, seed)


def accuracy(
    correct: Sequence[bool | None], *, clusters: Labels | None = None, missing: int = 0, seed: int = 0
) -> Cell:
    """Share of right answers, None where there is no answer. Single items have the exact interval of a proportion. Clusters are
    drawn; where all of them agree, the exact interval over as many units as there are clusters takes the place of none."""
    cell = micro([None if c is None else float(c) for c in correct], clusters=clusters, missing=missing, seed=seed)
    if cell.value is None:
        return cell
    known = [i for i, c in enumerate(correct) if c is not None]
    units = len({clusters[i] for i in known}) if clusters is not None else len(known)
    if units == len(known):
        low, high = proportion_interval(sum(bool(correct[i]) for i in known), units)
        return replace(cell, low=low, high=high, note="")
    if cell.value in (0.0, 1.0):
        low, high = proportion_interval(units if cell.value else 0, units)
        agreeing = "there is a single cluster" if units == 1 else f"all {units} clusters agree"
        return replace(cell, low=low, high=high, note=f"{agreeing}: exact interval")
    return cell


@dataclass(frozen=True)
class Difference:
    """second − first on the same items. `p` is two-sided and of this comparison alone; `adjusted` is Holm's, over the
    family it was given with (`holm_adjusted`)."""

    cell: Cell
    p: float | None
    test: str
    adjusted: float | None = None

    @property
    def significant(self) -> bool:
        """After the correction: what tables print in bold."""
        return significant(self.adjusted)

    def as_dict(self) -> dict[str, Any]:
        return self.cell.as_dict() | {"p": self.p, "p_holm": self.adjusted, "test": self.test}


def paired(
    first: Values,
    second: Values,
    *,
    kinds: Labels | None = None,
    clusters: Labels | None = None,
    missing: int = 0,
    seed: int = 0,
) -> Difference:
    """The mean of second − first over items that both have; with `kinds` the macro mean. Items that lack either count as
    invalid. The p-value is `resampling.flip_p_value`'s: under the hypothesis the two arms are exchangeable on every unit,
    so each unit's difference may as well have the other sign."""
    _same_length(first, second=second)
    gaps = [None if a is None or b is None else b - a for a, b in zip(first, second, strict=True)]
    cell = _mean(gaps, kinds, clusters, missing, seed)
    if cell.value is None:
        return Difference(cell, None, "")
    known = [i for i, gap in enumerate(gaps) if gap is not None]
    x = np.array([gaps[i] for i in known], dtype=np.float64)
    if kinds is not None:
        kind, count = codes([kinds[i] for i in known])
        x = x / (count * np.bincount(kind)[kind])
    unit, units = codes([clusters[i] for i in known] if clusters is not None else known)
    parts = np.sort(np.bincount(unit, weights=x, minlength=units).astype(np.float64))
    exact = np.count_nonzero(parts) <= EXACT_UNITS
    what = "all sign patterns" if exact else f"{FLIPS} random sign patterns"
    over = "items" if clusters is None else "clusters"
    return Difference(cell, flip_p_value(parts, seed), f"sign-flip permutation over {over}, {what}")


def significant(adjusted: float | None) -> bool:
    """Whether a corrected p-value is at most 0.05."""
    return adjusted is not None and adjusted <= 1.0 - LEVEL + 1e-12


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p-values (1979): controls the chance of any false finding in the family, whatever the
    dependence. None stays None and is not counted."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    out: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        out[i] = highest
    return out


def holm_adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """The same differences as one family, each with its adjusted p-value."""
    return [replace(d, adjusted=p) for d, p in zip(differences, holm([d.p for d in differences]), strict=True)]


def _mean(values: Values, kinds: Labels | None, clusters: Labels | None, missing: int, seed: int) -> Cell:
    _same_length(values, kinds=kinds, clusters=clusters)
    if missing < 0:
        raise BadInput(f"missing={missing}: the number of items that are not judged yet cannot be negative")
    known = [i for i, v in enumerate(values) if v is not None]
    x = np.array([values[i] for i in known], dtype=np.float64)
    if not np.isfinite(x).all():
        bad = next(i for i, v in zip(known, x, strict=True) if not math.isfinite(v))
        raise BadInput(
            f"value {bad} of {len(values)} is {values[bad]}: an invalid score is given as None, never as NaN"
        )
    invalid = len(values) - len(known)
    if not known:
        return Cell.empty(invalid, missing)
    kind, n_kinds = codes([kinds[i] for i in known]) if kinds is not None else (np.zeros(len(x), dtype=np.int64), 1)
    unit, n_units = codes([clusters[i] for i in known]) if clusters is not None else (np.arange(len(x)), len(x))
    sums_CK, counts_CK = np.zeros((n_units, n_kinds)), np.zeros((n_units, n_kinds))
    np.add.at(sums_CK, (unit, kind), x)
    np.add.at(counts_CK, (unit, kind), 1.0)
    # exact sums, so that the value does not depend on the order of the rows either
    value = math.fsum(math.fsum(x[kind == k]) / int((kind == k).sum()) for k in range(n_kinds)) / n_kinds
    notes = [_kinds_note(kinds, known, counts_CK)]
    bounds = None
    if n_units > 1:
        draws = _draws(sums_CK, counts_CK, np.random.default_rng(seed))
        strata = 1 if _crossed(counts_CK) else n_kinds
        name = "values" if n_units == len(known) else "clusters"
        bounds, note = bootstrap_interval(draws, differing(sums_CK, counts_CK), n_units, strata, name)
        notes.append(note)
    low, high = bounds or (None, None)
    return Cell(value, low, high, len(known), invalid, missing, "; ".join(filter(None, notes)))


def _crossed(counts_CK: Floats) -> bool:
    """Whether some cluster holds items of several kinds."""
    return bool(((counts_CK > 0).sum(1) > 1).any())


def _draws(sums_CK: Floats, counts_CK: Floats, rng: np.random.Generator) -> Floats:
    """[RESAMPLES] of the micro (one kind) or macro mean. Units are sorted by what they hold, so that their order in the
    file does not change what is drawn."""
    if _crossed(counts_CK):
        order = np.lexsort(np.concatenate([sums_CK, counts_CK], axis=1).T)
        return crossed_draws(sums_CK[order], counts_CK[order], rng)
    total = np.zeros(RESAMPLES)
    for k in range(sums_CK.shape[1]):
        mine = counts_CK[:, k] > 0
        sums, counts = sums_CK[mine, k], counts_CK[mine, k]
        order = np.lexsort((counts, sums))
        total += ratio_draws(sums[order], counts[order], rng)
    return total / sums_CK.shape[1]


def _kinds_note(kinds: Labels | None, known: Sequence[int], counts_CK: Floats) -> str:
    if kinds is None:
        return ""
    lost = sorted({str(k) for k in kinds} - {str(kinds[i]) for i in known})
    single = int(((counts_CK > 0).sum(0) == 1).sum())
    notes = [f"without {', '.join(lost)}: no valid item"] if lost else []
    if single:
        notes.append(f"{single} of {counts_CK.shape[1]} kinds with a single unit: the interval is too narrow")
    return "; ".join(notes)


def _same_length(values: Sequence[Any], **others: Sequence[Any] | None) -> None:
    for name, other in others.items():
        if other is not None and len(other) != len(values):
            raise BadInput(f"{name} has {len(other)} entries for {len(values)} values; give one for each")


__all__ = [
    "Cell",
    "Difference",
    "accuracy",
    "holm",
    "holm_adjusted",
    "macro",
    "mean",
    "mean_difference",
    "micro",
    "paired",
    "significant",
]
