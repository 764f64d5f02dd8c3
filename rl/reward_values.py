"""What a reward is to a training, and how its values are written down: missing ones are None, and never a zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch

from benchmarks.base import EditSample

Samples = Callable[[int, int], EditSample]  # (step, j) -> sample, a pure function of its arguments


class RewardLike(Protocol):
    """`total` None (or NaN): the reward could not be computed. `components` are logged, None where missing."""

    @property
    def total(self) -> float | None: ...

    @property
    def components(self) -> Mapping[str, float | None]: ...


def mean_std(name: str, values: Sequence[float | None]) -> dict[str, float]:
    """`<name>/mean` and `<name>/std` (population) of the values that are there; empty without any."""
    present = torch.tensor([v for v in values if v is not None], dtype=torch.float64)
    if not len(present):
        return {}
    return {f"{name}/mean": float(present.mean()), f"{name}/std": float(present.std(correction=0))}


def finite(value: float | None) -> float | None:
    """None for what is missing or no finite number."""
    return None if value is None or not math.isfinite(value) else float(value)


__all__ = ["RewardLike", "Samples", "finite", "mean_std"]
