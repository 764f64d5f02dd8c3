"""Learning rates as functions of the update, counted from 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from common.errors import BadInput


class Schedule(Protocol):
    def lr_at(self, update: int) -> float:
        """The learning rate that this update uses."""
        ...


@dataclass(frozen=True)
class Trapezoid:
    """Linear warm-up, constant, and a linear fall to 0 over the last `decay_share` of `updates`: update k of n uses
    lr x min(1, (k + 1) / warmup, (n - k) / (n decay_share)). Without decay the number of updates does not matter."""

    lr: float
    warmup: int = 0
    decay_share: float = 0.0
    updates: int = 0

    def __post_init__(self) -> None:
        if not self.lr >= 0 or self.warmup < 0:
            raise BadInput(f"lr {self.lr} must be >= 0, warm-up {self.warmup} >= 0")
        if not 0 <= self.decay_share <= 1 or (self.decay_share and self.updates < 1):
            raise BadInput(f"decay_share {self.decay_share} must be 0..1, and above 0 needs the number of updates")

    def lr_at(self, update: int) -> float:
        lr = self.lr * min(1.0, (update + 1) / max(1, self.warmup))
        decay = round(self.decay_share * self.updates)
        return min(lr, self.lr * max(0, self.updates - update) / decay) if decay else lr


@dataclass(frozen=True)
class Cosine:
    """Linear warm-up, then half a cosine from lr down to `final_share` of it at the last of `updates`."""

    lr: float
    updates: int
    warmup: int = 0
    final_share: float = 0.0

    def lr_at(self, update: int) -> float:
        if update < self.warmup:
            return self.lr * (update + 1) / self.warmup
        progress = min(1.0, (update - self.warmup) / max(1, self.updates - self.warmup))
        return self.lr * (self.final_share + (1 - self.final_share) * 0.5 * (1 + math.cos(math.pi * progress)))


__all__ = ["Cosine", "Schedule", "Trapezoid"]
