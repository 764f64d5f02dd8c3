"""One update: the split into micro-batches and the number of ranks do not matter, and idle ranks keep step."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from rl.clock import Clock
from rl.config import OptimizerConfig
from rl.engine.base import LogProbs
from rl.engine.torch import TorchEngine
from rl.losses import LossOutputs
from rl.policies.base import Policy
from rl.update import MicroBatch, update

NUMBERS = OptimizerConfig(lr=0.05)
ITEMS = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Line(Policy[Tensor]):
    """A policy over numbers: log p of item x is -(w x)^2."""

    def __init__(self) -> None:
        super().__init__()
        self.model = torch.nn.Linear(3, 2, dtype=torch.float64)
        for p in self.model.parameters():
            torch.nn.init.constant_(p, 0.3)

    def forward(self, batch: Tensor) -> LogProbs:
        logp = -self.model(batch).square()
        return LogProbs(logp, torch.ones_like(logp, dtype=torch.bool))


def loss(items: Sequence[Tensor], batch: MicroBatch) -> LossOutputs:
    ratio = (batch.now.logp_BT - batch.old_logp_BT).exp()
    kl = 0.0 if batch.reference is None else (batch.now.logp_BT - batch.reference.logp_BT).square().sum()
    value = (-ratio.sum() + 0.1 * kl) / batch.normaliser
    return LossOutputs(value, {"ratio": float(ratio.detach().sum()), "tokens": float(ratio.numel())})


def run(
    engine: Any, items: Sequence[Tensor], size: int, reference: Any = None, passes: int = 2, steps: int = 2
) -> list[Any]:
    outputs = []
    for _ in range(steps):
        info, parts = update(
            engine, items, torch.stack, lambda rows: [list(rows[i : i + size]) for i in range(0, len(rows), size)], loss,
            normaliser=float(len(items)), idle=ITEMS[0], reference=reference, passes=passes, clock=Clock(),
        )  # fmt: skip
        outputs.append((info.grad_norm, sum(float(p.loss) for p in parts)))
    return outputs


def weights(engine: Any) -> Tensor:
    return torch.cat([p.detach().flatten() for p in engine.policy.model.parameters()])


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_micro_batches_do_not_change_the_update(size: int, reference: bool) -> None:
    whole, cut = TorchEngine(Line(), NUMBERS), TorchEngine(Line(), NUMBERS)
    frozen = whole.frozen_copy() if reference else None
    a, b = run(whole, list(ITEMS), 7, frozen), run(cut, list(ITEMS), size, frozen)
    assert torch.allclose(weights(whole), weights(cut), atol=1e-9) and torch.tensor(a).allclose(torch.tensor(b))
    assert (weights(whole) - weights(TorchEngine(Line(), NUMBERS))).abs().max() > 1e-2


def test_the_first_pass_is_on_policy_and_the_second_is_not() -> None:
    engine = TorchEngine(Line(), NUMBERS)
    _, parts = update(
        engine, list(ITEMS), torch.stack, lambda rows: [list(rows)], loss,
        normaliser=7.0, idle=ITEMS[0], passes=2, clock=Clock(),
    )  # fmt: skip
    first, second = (p.sums["ratio"] / p.sums["tokens"] for p in parts)
    assert first == 1.0 and second != 1.0


class Rank:
    """Engines of several threads that share their gradients at each step, as ranks do. Every backward is a meeting: a rank that
    has fewer micro-batches and does not take part leaves the others waiting."""

    def __init__(self, rank: int, group: Group) -> None:
        self.engine, self.policy = group.engines[rank], group.engines[rank].policy
        self.rank, self.world_size, self.group, self.backwards = rank, len(group.engines), group, 0

    def forward(self, batch: Tensor) -> LogProbs:
        return self.engine.forward(batch)

    def backward(self, value: Tensor) -> None:
        self.group.meet.wait(20)
        self.backwards += 1
        self.engine.backward(value)

    def all_gather(self, value: Any) -> list[Any]:
        self.group.values[self.rank] = value
        self.group.meet.wait(20)
        values = list(self.group.values)
        self.group.meet.wait(20)
        return values

    def step(self) -> Any:
        gradients = self.all_gather([p.grad.clone() for p in self.engine.trained])
        for p, *parts in zip(self.engine.trained, *gradients, strict=True):
            p.grad = torch.stack(parts).sum(0)
        return self.engine.step()


class Group:
    def __init__(self, size: int) -> None:
        self.engines = [TorchEngine(Line(), NUMBERS) for _ in range(size)]
        self.meet, self.values = threading.Barrier(size), [None] * size


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("empty", [False, True])
def test_ranks_are_one_process_and_idle_ones_keep_step(ranks: int, empty: bool) -> None:
    """Shares of unequal size, one of them empty."""
    alone = TorchEngine(Line(), NUMBERS)
    run(alone, list(ITEMS), 7)
    group = Group(ranks)
    shares = [list(ITEMS), *[[] for _ in range(ranks - 1)]] if empty else [list(ITEMS[r::ranks]) for r in range(ranks)]
    members = [Rank(r, group) for r in range(ranks)]
    with ThreadPoolExecutor(ranks) as pool:
        list(pool.map(lambda r: run(members[r], shares[r], 2), range(ranks)))
    assert len({m.backwards for m in members}) == 1
    for engine in group.engines:
        assert torch.allclose(weights(engine), weights(alone), atol=1e-9)
