"""A run's evaluation on the complex requests of its benchmark, beside the mixed ones: indirect and multi-step, several edits."""

from __future__ import annotations

from dataclasses import replace

from experiments.evaluation.spec import EvaluationSpec


def with_complex(spec: EvaluationSpec, edited: int | None = None) -> list[EvaluationSpec]:
    """The evaluation itself, then the same on the complex split, where the benchmark has one and scale.complex_samples is not 0.
    `edited`: at most so many of its requests have their pictures made; None: all."""
    used, count = spec.used, spec.used.scale.complex_requests
    if spec.samples is not None and spec.samples < used.scale.test_samples:
        count = min(count, spec.samples)
    part = used.benchmark.complex_split() if hasattr(used.benchmark, "complex_split") else None
    arms = () if edited == 0 else spec.arms
    if part is None or count == 0 or not (arms or spec.decompositions):
        return [spec]
    other = replace(used, benchmark=part)
    return [spec, replace(spec, used=other, samples=count, arms=arms, edited=edited, traces=0)]


__all__ = ["with_complex"]
