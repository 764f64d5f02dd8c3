"""One optimiser step or several on one batch, in micro-batches, on all ranks together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from rl.clock import Clock
from rl.engine.base import Engine, LogProbs, StepInfo
from rl.losses import LossOutputs, settled
from rl.policies.base import Policy
from rl.work import Work, peak_flops

B = TypeVar("B")
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class MicroBatch(Generic[R]):
    """Log-probabilities of one micro-batch: under the policy now (with gradient), under that at the start of the update (`old`,
    detached; old_mean: its means, where it has some), and what the reference says. `normaliser` is that of the whole batch, over
    all ranks; `batch` is what the policy was given."""

    now: LogProbs
    old_logp_BT: Tensor
    reference: R | None
    normaliser: float
    old_mean: Tensor | None = None
    batch: Any = None


def update(
    engine: Engine[B],
    items: Sequence[T],
    collate: Callable[[Sequence[T]], B],
    split: Callable[[Sequence[T]], list[list[T]]],
    loss: Callable[[Sequence[T], MicroBatch[R]], LossOutputs],
    *,
    normaliser: float,
    idle: T,
    clock: Clock,
    reference: Callable[[B], R] | None = None,
    passes: int = 1,
) -> tuple[StepInfo, list[LossOutputs]]:
    """`passes` optimiser steps on this rank's `items`; returns the last step and the loss of every micro-batch of every pass.

    `split` cuts the items into micro-batches. `normaliser` is this rank's share; the shares of all ranks are added up and given
    to `loss`, whose values must add up to the batch's loss. Sharded engines communicate in every backward, so a rank with
    fewer micro-batches than another passes the item `idle` instead, with a loss of 0.

    The first pass's own detached log-probabilities are the old ones: the weights are still those of the rollouts, so no
    forward is spent on them, and the first ratio is exactly 1.

    Nothing of a micro-batch is read back from the device before the last step is on its way: the host runs ahead of it.
    """
    total = sum(engine.all_gather(normaliser))
    micro = split(items)
    batches = [collate(part) for part in micro]
    work = sum(map(partial(_work, engine), batches), Work())
    ranks = engine.all_gather((len(micro), work.tokens, work.images))
    idle_turns = max(count for count, _, _ in ranks) - len(micro)
    tokens, images = (passes * sum(rank[i] for rank in ranks) for i in (1, 2))
    clock.train(Work(passes * work.flops, tokens, images), _peak(engine))
    references: list[R | None] = [None] * len(micro)
    if reference is not None:
        with clock("logprob"):
            references = [reference(batch) for batch in batches]
    old: list[tuple[Tensor, Tensor | None]] = []
    outputs: list[LossOutputs] = []
    with clock("train"):
        for _ in range(passes):
            for k, (part, batch) in enumerate(zip(micro, batches, strict=True)):
                now = engine.forward(batch)
                if len(old) == k:
                    old.append((now.logp_BT.detach(), None if now.mean is None else now.mean.detach()))
                logp_BT, mean = old[k]
                result = loss(part, MicroBatch(now, logp_BT, references[k], total, mean, batch))
                engine.backward(result.loss)
                outputs.append(LossOutputs(result.loss.detach(), result.sums, result.maxima))
            for _ in range(idle_turns):
                engine.backward(engine.forward(collate([idle])).logp_BT.sum() * 0.0)
            info = engine.step()
        return info, settled(outputs)


def _work(engine: Engine[B], batch: B) -> Work:
    """Of this batch, forward and backward; nothing where the engine or its policy does not say."""
    policy = getattr(engine, "policy", None)
    return policy.update_work(batch) if isinstance(policy, Policy) else Work()


def _peak(engine: Engine[Any]) -> float | None:
    policy = getattr(engine, "policy", None)
    if not isinstance(policy, Policy):
        return None
    half = policy.dtype == torch.bfloat16 or getattr(engine, "matmul", "") == "bfloat16"
    return peak_flops(policy.device, half)


__all__ = ["MicroBatch", "update"]
