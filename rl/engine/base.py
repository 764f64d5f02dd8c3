"""What a training engine does for an algorithm, whether one process holds the model or many share it. An engine knows batches
and parameters; what is special about a model belongs to its policy (`rl/policies/base.py`).

Suffixes: B sequences or trajectories, T tokens of an answer or steps of a denoising trajectory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from torch import Tensor

if TYPE_CHECKING:
    from rl.policies.base import FrozenPolicy

B = TypeVar("B")
B_contra = TypeVar("B_contra", contravariant=True)


@dataclass(frozen=True)
class LogProbs:
    """What a policy says about the actions of a batch.

    logp_BT: log-probabilities in nats, fp32, with gradient where it was asked for. mask_BT: True on real actions; entries
    outside it are 0. entropy_BT: in nats, detached; None where a policy has no use for it. mean: means of Gaussian steps,
    [B, T, ...], for an analytic KL, or velocities (rl/policies/velocity.py); None for tokens. greedy_BT: whether each token is
    the most likely one, where that is logged.
    """

    logp_BT: Tensor
    mask_BT: Tensor
    entropy_BT: Tensor | None = None
    mean: Tensor | None = None
    greedy_BT: Tensor | None = None


Evaluate: TypeAlias = Callable[[B], LogProbs]  # a policy without gradient, such as the frozen reference


@dataclass(frozen=True)
class StepInfo:
    """One optimiser step: norm of the gradient before clipping, the learning rate used, and whether a non-finite gradient
    made the engine leave the weights alone."""

    grad_norm: float
    lr: float
    skipped: bool = False


class Engine(Protocol[B_contra]):
    """Trains a policy over batches of one kind (`TextBatch`, `FlowBatch`).

    The gradient of `step` is that of the SUM of all losses given to `backward` since the last step, over micro-batches and
    over ranks: an engine that averages over ranks multiplies it back. Algorithms divide by a global normaliser themselves.
    Every rank must make the same sequence of calls.
    """

    rank: int
    world_size: int

    def forward(self, batch: B_contra) -> LogProbs:
        """Log-probabilities with gradient; under torch.no_grad() without."""
        ...

    def products(self) -> AbstractContextManager[Any]:
        """The precision of matrix products in `forward`, for those who run the same model to sample from it."""
        ...

    def backward(self, loss: Tensor) -> None: ...

    def step(self) -> StepInfo:
        """Clip, update, clear the gradients. A non-finite gradient skips the update, not its count."""
        ...

    def named_parameters(self, instead: Mapping[str, Tensor] | None = None) -> Iterator[tuple[str, Tensor]]:
        """Every distinct parameter once, whole, under its published name (adapters merged); a sharded engine gathers bucket
        by bucket and may free each one when the next is asked for. `instead` has other values for some trained parameters, by
        the names of `trained_parameters`, such as their moving average."""
        ...

    def trained_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter that is trained, whole, under the model's own name (adapters apart); gathered likewise."""
        ...

    def frozen_copy(self) -> FrozenPolicy[Any]:
        """A reference policy with today's weights, never trained, evaluated without gradient."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser and count of updates, consolidated (tensors, numbers, strings and containers of them)."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def all_gather(self, value: Any) -> list[Any]:
        """The value of every rank, in rank order."""
        ...


__all__ = ["Engine", "Evaluate", "LogProbs", "StepInfo"]
