"""Attention over packed trees of tokens by flex_attention, for GPUs: one kernel for the whole row, which skips empty blocks.

Token i attends to token j where j <= i < end[j]; end[j] is the first index after j's descendants.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from common.progress import say


class FlexAttention:
    """An `AttentionLayout` of a row whose `end_N` is on the device. The block mask is made once, here: every layer and every
    pass over the same row uses it."""

    def __init__(self, end_N: Tensor) -> None:
        self.mask = tree_mask(end_N)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        return attend_tree(query, key, value, scale, self.mask)


def tree_mask(end_N: Tensor) -> BlockMask:
    """The mask of a row of N tokens, on the device of `end_N`."""

    def sees(batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (j <= i) & (i < end_N[j])

    return create_block_mask(sees, None, None, len(end_N), len(end_N), device=str(end_N.device))


def attend_tree(query: Tensor, key: Tensor, value: Tensor, scale: float | None, mask: BlockMask) -> Tensor:
    """query [1, H, N, D], key and value [1, Hkv, N, D] -> [1, H, N, D]. On a CPU it is exact and slow: for tests."""
    return _kernel(query.device.type)(query, key, value, block_mask=mask, scale=scale, enable_gqa=True)


@cache
def _kernel(device: str) -> Callable[..., Any]:
    if device != "cuda":
        return flex_attention
    say(
        "  the first step compiles its attention kernels, which takes about half a minute; the next run finds them again"
    )
    return torch.compile(flex_attention, dynamic=True)


__all__ = ["FlexAttention", "attend_tree", "tree_mask"]
