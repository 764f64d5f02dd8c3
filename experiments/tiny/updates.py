"""Small helpers that the recipes share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from rl.engine.precision import bf16_products, has_amx

NOT_IDENTITY = {"checkpoint_every", "validate_every", "validation_samples", "test_samples", "euler_steps"}


def recipe_identity(config: Any, seed: int) -> dict[str, Any]:
    """The numbers of a recipe (a dataclass) that another training would differ in."""
    return {k: v for k, v in asdict(config).items() if k not in NOT_IDENTITY} | {"seed": seed}


def fast_bf16() -> AbstractContextManager[Any]:
    """Matrix products in bfloat16 where the processor multiplies it in hardware (AMX), about twice as fast; else nothing."""
    return bf16_products("cpu") if has_amx() else nullcontext()


def named_parameters(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The parameters of all modules, each under `<module>.<name>`."""
    return {f"{key}.{n}": p for key, module in modules.items() for n, p in module.named_parameters()}


def clip(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Clip the gradients to this norm; return the norm before."""
    return float(nn.utils.clip_grad_norm_(list(parameters), max_norm))


__all__ = ["clip", "fast_bf16", "named_parameters", "recipe_identity"]
