"""One optimiser step or several on one batch, in micro-batches, on all ranks together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from rl.clock import Clock
from rl.engine.base import Engine, Evaluate, LogProbs, StepInfo
from rl.losses import LossOutputs

B = TypeVar("B")
T = TypeVar("T")


@dataclass(frozen=True)
class MicroBatch:
    """Log-probabilities of one micro-batch: under the policy now (with gradient), under that at the start of the update (`old`,
    detached), and under the reference. `normaliser` is that of the whole batch, over all ranks."""

    now: LogProbs
    old_logp_BT: Tensor
    reference: LogProbs | None
    normaliser: float


def update(
    engine: Engine[B],
    items: Sequence[T],
    collate: Callable[[Sequence[T]], B],
    split: Callable[[Sequence[T]], list[list[T]]],
    loss: Callable[[Sequence[T], MicroBatch], LossOutputs],
    *,
    normaliser: float,
    idle: T,
    clock: Clock,
    reference: Evaluate[B] | None = None,
    passes: int = 1,
) -> tuple[StepInfo, list[LossOutputs]]:
    """`passes` optimiser steps on this rank's `items`; returns the last step and the loss of every micro-batch of every pass.

    `split` cuts the items into micro-batches. `normaliser` is this rank's share; the shares of all ranks are added up and given
    to `loss`, whose values must add up to the batch's loss. Sharded engines communicate in every backward, so a rank with
    fewer micro-batches than another passes the item `idle` instead, with a loss of 0.

    The first pass's own detached log-probabilities are the old ones: the weights are still those of the rollouts, so no
    forward is spent on them, and the first ratio is exactly 1.
    """
    total = sum(engine.all_gather(normaliser))
    micro = split(items)
    batches = [collate(part) for part in micro]
    idle_turns = max(engine.all_gather(len(micro))) - len(micro)
    references: list[LogProbs | None] = [None] * len(micro)
    if reference is not None:
        with clock("logprob"):
            references = [reference(batch) for batch in batches]
    old: list[Tensor] = []
    outputs: list[LossOutputs] = []
    with clock("train"):
        for _ in range(passes):
            for k, (part, batch) in enumerate(zip(micro, batches, strict=True)):
                now = engine.forward(batch)
                if len(old) == k:
                    old.append(now.logp_BT.detach())
                result = loss(part, MicroBatch(now, old[k], references[k], total))
                engine.backward(result.loss)
                outputs.append(LossOutputs(result.loss.detach(), result.sums, result.maxima))
            for _ in range(idle_turns):
                engine.backward(engine.forward(collate([idle])).logp_BT.sum() * 0.0)
            info = engine.step()
    return info, outputs


__all__ = ["MicroBatch", "update"]
