"""The update that every engine makes, so that one configuration means one trajectory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from common.errors import BadInput


@dataclass(frozen=True)
class Schedule:
    """AdamW's numbers: linear warm-up to a constant learning rate, and a linear fall to 0 over the last `decay_share` of
    `updates` (how many there will be). Weight decay touches matrices only (no norms, no biases)."""

    lr: float = 1e-6
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    warmup_steps: int = 0
    max_grad_norm: float = 1.0
    decay_share: float = 0.0
    updates: int = 0

    def __post_init__(self) -> None:
        lr, clip, warmup, share = self.lr, self.max_grad_norm, self.warmup_steps, self.decay_share
        if not lr >= 0 or not clip > 0 or warmup < 0:
            raise BadInput(f"lr {lr} must be >= 0, max_grad_norm {clip} > 0, warmup_steps {warmup} >= 0")
        if not 0 <= share <= 1 or (share and self.updates < 1):
            raise BadInput(f"decay_share {share} must be 0..1, and above 0 needs the number of updates")

    def lr_at(self, update: int) -> float:
        """Update k (from 0) of n uses lr x min(1, (k+1)/warmup, (n-k)/decay)."""
        lr = self.lr * min(1.0, (update + 1) / max(1, self.warmup_steps))
        decay = round(self.decay_share * self.updates)
        return min(lr, self.lr * max(0, self.updates - update) / decay) if decay else lr

    def groups(self, parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
        """Parameter groups for an optimiser: first the matrices, then the rest. BadInput where nothing is trained."""
        trained = [p for p in parameters if p.requires_grad]
        if not trained:
            raise BadInput("no parameter of the policy requires a gradient: nothing to train")
        matrices = {"params": [p for p in trained if p.ndim >= 2], "weight_decay": self.weight_decay}
        vectors = {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0}
        return [g for g in (matrices, vectors) if g["params"]]


__all__ = ["Schedule"]
