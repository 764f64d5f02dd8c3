"""What an engine must know about a model, and nothing more. A policy overrides what is special about its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from rl.engine.base import LogProbs
from rl.work import Work

B = TypeVar("B")
Named: TypeAlias = Iterator[tuple[str, Tensor]]
Gather: TypeAlias = Callable[[Callable[[str], bool]], Named]  # whole parameters whose names are accepted


class Policy(nn.Module, Generic[B]):
    """A trainable view of a model: `forward(batch)` is everything a loss needs.

    Engines train the parameters of `model` that require a gradient, and save all of them under `model`'s own names. Apart from
    `model` and `forward`, the defaults serve a model of which every batch passes every part.
    """

    model: nn.Module

    def forward(self, batch: B) -> LogProbs:
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    def work(self, batch: B) -> Work:
        """What one forward of a batch costs, from shapes alone (rl/work.py); no FLOPs where nothing is known of the model."""
        return Work()

    def update_work(self, batch: B) -> Work:
        """The same with its backward, which has two products for each of the forward's, or one where the matrices are frozen."""
        return self.work(batch).times(2 if getattr(self, "lora", None) is not None else 3)

    def export(self, gather: Gather) -> Named:
        """The weights as everybody else names them, one at a time; a policy with adapters merges them here."""
        return gather(lambda name: True)

    def share_frozen(self, source: Self) -> None:
        """Use the source's frozen modules and what it remembers of them in place of one's own: called on a frozen copy, which
        then needs no second pass through them."""

    def before_sharding(self) -> None:
        """Called once before ZeRO-3 shards the weights: take modules out of the tree that ranks do not call equally often."""

    def external_parameters(self) -> Sequence[nn.Parameter]:
        """Parameters that `forward` uses more or less often on each rank, which ZeRO-3 has to keep whole in between."""
        return ()

    @property
    def optional_parts(self) -> frozenset[str]:
        """Names of trained parts that only some batches pass, such as a vision tower."""
        return frozenset()

    def parts_of(self, batch: B) -> frozenset[str]:
        """Those of `optional_parts` that this batch passes."""
        return frozenset()

    def pass_through(self, parts: frozenset[str]) -> Tensor:
        """A scalar 0 that depends on the parameters of these parts. A sharded engine gathers their weights and reduces their
        gradients on all ranks or on none, so a rank whose batch does not use them calls this."""
        raise NotImplementedError(f"{type(self).__name__} has no parts {sorted(parts)}")


@dataclass(frozen=True)
class FrozenPolicy(Generic[B]):
    """A whole copy of a policy that no engine trains, called without gradient: a reference, or weights that follow the trained
    ones. `products` is the context in which its engine multiplies matrices."""

    policy: Policy[B]
    products: Callable[[], AbstractContextManager[Any]] = nullcontext

    @torch.no_grad()
    def __call__(self, batch: B) -> LogProbs:
        with self.products():
            return self.policy(batch)

    @torch.no_grad()
    def follow(self, trained: Named, keep: float = 0.0) -> None:
        """w <- keep w + (1 - keep) trained, for every trained parameter; with 0 it becomes the trained policy exactly."""
        mine = dict(self.policy.model.named_parameters())
        for name, value in trained:
            if keep == 0:
                mine[name].copy_(value)
            else:
                mine[name].lerp_(value.to(mine[name]), 1 - keep)


def gather_from(named: Any) -> Gather:
    """`Gather` over parameters that are whole already, such as `model.named_parameters`."""
    return lambda accepts: ((name, p.detach()) for name, p in named() if accepts(name))


def replacing(gather: Gather, instead: Mapping[str, Tensor] | None) -> Gather:
    """`gather` with other values for some parameters."""
    if not instead:
        return gather
    return lambda accepts: ((name, instead.get(name, p)) for name, p in gather(accepts))


__all__ = ["FrozenPolicy", "Gather", "Named", "Policy", "gather_from", "replacing"]
