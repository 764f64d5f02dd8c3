"""The choice of the best of several traces, by the answers of a verifier to the evaluation points (arXiv 2604.27505, step 4)."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import BadInput
from judges.reasoning.trace import Trace


def accuracy(trace: Trace, gold: Sequence[int]) -> float:
    """The share of points that the trace answers as the verifier does. Raises BadInput where it answers others."""
    if len(trace.verdicts) != len(gold) or not gold:
        raise BadInput(f"a trace with {len(trace.verdicts)} verdicts cannot be compared on {len(gold)} points")
    return sum(a == b for a, b in zip(trace.verdicts, gold, strict=True)) / len(gold)


def best(traces: Sequence[Trace], gold: Sequence[int]) -> int:
    """The number of the most accurate trace; of equal ones that with the higher average, then the higher score, then the first."""
    if not traces:
        raise BadInput("there is no trace to choose from")
    return max(range(len(traces)), key=lambda k: (accuracy(traces[k], gold), traces[k].average, traces[k].score, -k))


__all__ = ["accuracy", "best"]
