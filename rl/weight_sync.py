"""What a rollout engine is sent after an update: whole weights, or adapters alone where it has a slot for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from torch import Tensor

from agents.backends.base import Backend
from rl.engine.base import Engine

Weights: TypeAlias = Callable[[], Iterable[tuple[str, Tensor]]]


def weights_for(backend: Backend, engine: Engine[Any]) -> Weights:
    """The parameters of a sync of this backend, anew at every call. An engine that takes adapters holds the weights beside them
    since its start, and they never change."""
    slot, trained = getattr(backend, "slot", None), getattr(getattr(engine, "policy", None), "lora", None)
    alone = slot is not None and trained is not None and (slot.rank, slot.alpha) == (trained.rank, trained.alpha)
    return engine.trained_parameters if alone else engine.named_parameters


__all__ = ["Weights", "weights_for"]
