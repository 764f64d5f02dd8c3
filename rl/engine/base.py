"""What a training engine does for a loop, whether one process holds the model or many share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from agents.backends.base import Request
from agents.backends.vlm import Encoded
from rl.policies.text import TokenStats

Evaluate = Callable[[Sequence[Encoded], Sequence[Sequence[int]]], TokenStats]


@dataclass(frozen=True)
class StepInfo:
    """One optimiser step: norm of the gradient before clipping, the learning rate used, and whether a non-finite gradient
    made the engine leave the weights alone."""

    grad_norm: float
    lr: float
    skipped: bool = False


class Engine(Protocol):
    """The gradient of `step` is that of the SUM of all losses given to `backward` since the last step, over micro-batches
    and over ranks: an engine that averages over ranks multiplies it back. Loops divide by a global normaliser themselves.
    Every rank must make the same sequence of calls."""

    rank: int
    world_size: int

    def encode(self, requests: Sequence[Request]) -> list[Encoded]:
        """Tokens and pixels as the policy takes them."""
        ...

    def forward(self, prompts: Sequence[Encoded], completions: Sequence[Sequence[int]]) -> TokenStats:
        """Log-probabilities with gradient; under torch.no_grad() without."""
        ...

    def backward(self, loss: Tensor) -> None: ...

    def step(self) -> StepInfo:
        """Clip, update, clear the gradients."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Every distinct parameter once, whole, under its Hugging Face name; a sharded engine gathers bucket by bucket
        and may free each one when the next is asked for."""
        ...

    def frozen_copy(self) -> Evaluate:
        """A reference policy with today's weights, never trained, evaluated without gradient."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser and schedule, consolidated (tensors, numbers, strings and containers of them)."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def all_gather(self, value: Any) -> list[Any]:
        """The value of every rank, in rank order."""
        ...


__all__ = ["Engine", "Evaluate", "StepInfo"]
