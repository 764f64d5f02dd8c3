"""Small helpers that the recipes share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

NOT_IDENTITY = {"checkpoint_every", "validate_every", "validation_samples", "test_samples", "euler_steps"}


def recipe_identity(config: Any, seed: int) -> dict[str, Any]:
    """The numbers of a recipe (a dataclass) that another training would differ in."""
    return {k: v for k, v in asdict(config).items() if k not in NOT_IDENTITY} | {"seed": seed}


def fast_bf16() -> AbstractContextManager[Any]:
    """Matrix products in bfloat16 where the processor multiplies it in hardware (AMX), about twice as fast; else nothing. Weights,
    their sums and the optimiser stay fp32. Weights change at every step, so no cast of them is kept."""
    if not torch.cpu._is_amx_tile_supported():
        return nullcontext()
    both = ExitStack()
    both.enter_context(torch.autocast("cpu", torch.bfloat16, cache_enabled=False))
    both.enter_context(AttentionInFp32())
    return both


class AttentionInFp32(TorchFunctionMode):
    """Under autocast on a CPU: attention in fp32. Its backward in bfloat16 takes 2 to 25 times as long for heads this small
    (torch 2.13; 16 x 4 heads of 64 tokens and 32 channels: 47 ms against 1.7 ms)."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        given = args[0].dtype
        args, kwargs = tuple(map(_fp32, args)), {k: _fp32(v) for k, v in (kwargs or {}).items()}
        with torch.autocast("cpu", enabled=False):
            return func(*args, **kwargs).to(given)


def _fp32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def named_parameters(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The parameters of all modules, each under `<module>.<name>`."""
    return {f"{key}.{n}": p for key, module in modules.items() for n, p in module.named_parameters()}


def clip(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Clip the gradients to this norm; return the norm before."""
    return float(nn.utils.clip_grad_norm_(list(parameters), max_norm))


__all__ = ["clip", "fast_bf16", "named_parameters", "recipe_identity"]
