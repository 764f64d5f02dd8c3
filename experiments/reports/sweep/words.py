"""Numbers and captions of a sweep in words, the same on the terminal, in Markdown and on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable

from experiments.reports.sweep.comparisons import Comparison
from experiments.reports.sweep.differences import Difference
from experiments.reports.sweep.measures import Measure
from experiments.reports.sweep.runs import Run

HEADS = ("configuration", "compared", "over test samples", "p (Holm)", "over seeds and samples", "each seed", "samples")
COVERS = (
    "second − first, paired by seed and test sample. The interval covers the test samples; what training anew would "
    "change shows in the differences of the single seeds and, roughly, in the interval over seeds and samples. "
    "Intervals are not corrected for the number of questions; p is, by Holm over all of them, and bold means p at most 0.05."
)


def value(run: Run, measure: Measure) -> str:
    return f"{run.measures[measure.name]:z.{measure.unit.digits}f}" if measure.name in run.measures else "–"


def each_seed(c: Comparison, d: Difference) -> dict[int, str]:
    return {seed: f"{x:+z.{c.digits}f}" if math.isfinite(x) else "–" for seed, x in d.seeds.items()}


def listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))


def seeds_text(seeds: Iterable[int]) -> str:
    """seed 0; seeds 0, 1, 2"""
    several = list(seeds)
    return f"seed{'s' * (len(several) > 1)} {listed(several)}"


def left_out_text(d: Difference) -> str:
    return f"{d.left_out} without a valid value left out"
