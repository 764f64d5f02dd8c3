"""Matrix products in bfloat16 while weights, sums and moments stay in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


def has_amx() -> bool:
    """Whether this processor multiplies bfloat16 in hardware."""
    return torch.cpu._is_amx_tile_supported()


def bf16_products(device: str) -> AbstractContextManager[Any]:
    """What runs inside multiplies in bfloat16; its backward may run outside. Weights change at every step, so no cast of them is
    kept. On a CPU about twice as fast where it multiplies bfloat16 in hardware (AMX), and slower elsewhere."""
    entered = ExitStack()
    entered.enter_context(torch.autocast(device, torch.bfloat16, cache_enabled=False))
    if device == "cpu":
        entered.enter_context(AttentionInFp32())
    return entered


class AttentionInFp32(TorchFunctionMode):
    """Under autocast on a CPU: attention in float32. Its backward in bfloat16 takes 2 to 25 times as long for heads this small
    (torch 2.13; 16 x 4 heads of 64 tokens and 32 channels: 47 ms against 1.7 ms)."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query = args[0] if args else (kwargs or {})["query"]
        given = query.dtype
        args, kwargs = tuple(map(_fp32, args)), {k: _fp32(v) for k, v in (kwargs or {}).items()}
        with torch.autocast("cpu", enabled=False):
            return func(*args, **kwargs).to(given)


def _fp32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


__all__ = ["AttentionInFp32", "bf16_products", "has_amx"]
