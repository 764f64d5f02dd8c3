"""Main effects: what changing one key does on average over all values of the other keys and all seeds of a grid."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.reports.sweep.comparisons import Comparison, corrected, rank
from experiments.reports.sweep.matched import matched_difference, pairs
from experiments.reports.sweep.measures import CHOICE, Measure
from experiments.reports.sweep.summary import Sweep

COVERS = (
    "Main effects: each value against the first one of its key, mean over all pairs of runs that are alike in every other key and "
    "in the seed. The first interval covers the test samples, the second pairs and samples."
)
LEGEND = "Point: the effect. Thick line: 95 % over test samples. Thin line: over pairs and samples. Rings: each pair."


@dataclass(frozen=True)
class Effect:
    """`comparison.difference` is the effect; `pairs`: of how many pairs of runs."""

    key: str
    comparison: Comparison
    pairs: int


def main_effects(sweep: Sweep, measure: Measure) -> list[Effect]:
    """Of every key that differs; nothing where a single key does, for then its comparisons say the same."""
    if len(sweep.keys) < 2:
        return []
    found = []
    for key in sweep.keys:
        others = [k for k in sweep.keys if k != key]
        values = sorted({r.choices.get(key, "–") for r in sweep.runs}, key=lambda v: rank(key, v))
        by_value = {v: [r for r in sweep.runs if r.choices.get(key, "–") == v] for v in values}
        for value in values[1:]:
            first, second = by_value[values[0]], by_value[value]
            d = matched_difference(first, second, measure, others)
            if d is not None:
                n = len(pairs(first, second, others))
                question = f"{values[0]} → {value}, {n} pair{'s' * (n > 1)}"
                found.append(Effect(key, Comparison(key, question, CHOICE, measure.unit, d), n))
    tested = corrected([e.comparison for e in found])
    return [Effect(e.key, c, e.pairs) for e, c in zip(found, tested, strict=True)]


__all__ = ["COVERS", "LEGEND", "Effect", "main_effects"]
