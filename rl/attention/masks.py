"""Attention over packed trees of tokens by scaled_dot_product_attention, piece by piece: trunks causally, blocks of branches with
a mask over [trunk; block]. The work grows linearly with the number of answers. The fastest form on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from rl.attention.shape import RowShape


class MaskedAttention:
    """An `AttentionLayout` of a row whose `end_N` is on the device. Its masks [1, 1, block, trunk + block] are additive."""

    def __init__(self, shape: RowShape, end_N: Tensor, dtype: torch.dtype) -> None:
        self.sizes = list(shape.sizes)
        self.masks: list[Tensor | None] = []
        at, trunk = 0, 0
        for size, is_trunk in zip(shape.sizes, shape.is_trunk, strict=True):
            if is_trunk:
                trunk = size
                self.masks.append(None)
            else:
                self.masks.append(_block_mask(end_N[at : at + size] - at, trunk, dtype))
            at += size

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        out, trunk = [], (key, value)
        pieces = zip(self.masks, *(x.split(self.sizes, 2) for x in (query, key, value)), strict=True)
        for mask, q, k, v in pieces:
            if mask is None:
                trunk = (k, v)
            else:
                k, v = torch.cat([trunk[0], k], 2), torch.cat([trunk[1], v], 2)
            out.append(
                scaled_dot_product_attention(
                    q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=True
                )
            )
        return torch.cat(out, 2)


def _block_mask(end_n: Tensor, trunk: int, dtype: torch.dtype) -> Tensor:
    """[1, 1, n, trunk + n] with 0 where a node attends (the trunk, its ancestors, itself) and -inf elsewhere."""
    at = torch.arange(len(end_n), device=end_n.device)
    seen = (at[None] <= at[:, None]) & (at[:, None] < end_n[None])
    mask = torch.zeros(len(end_n), trunk + len(end_n), dtype=dtype, device=end_n.device)
    mask[:, trunk:].masked_fill_(~seen, -torch.inf)
    return mask[None, None]


__all__ = ["MaskedAttention"]
