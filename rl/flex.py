"""Trees of tokens through flex_attention, for GPUs: one kernel for the whole packed row, which skips blocks that nobody sees.

One rule says who sees whom: token i sees token j where j <= i < end[j], `end` being the first place behind j's descendants.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention


def tree_mask(end_N: Tensor) -> BlockMask:
    """The rule for a row of N tokens, on the device of `end_N`."""

    def sees(batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (j <= i) & (i < end_N[j])

    return create_block_mask(sees, None, None, len(end_N), len(end_N), device=str(end_N.device))


def attend_tree(query: Tensor, key: Tensor, value: Tensor, scale: float | None, mask: BlockMask) -> Tensor:
    """query [1, H, N, D], key and value [1, Hkv, N, D] -> [1, H, N, D]. Off a GPU it is exact and slow: for tests."""
    return _kernel(query.device.type)(query, key, value, block_mask=mask, scale=scale, enable_gqa=True)


@cache
def _kernel(device: str) -> Callable[..., Any]:
    return torch.compile(flex_attention, dynamic=True) if device == "cuda" else flex_attention


__all__ = ["attend_tree", "tree_mask"]
