"""Attention over packed trees of tokens without any mask: causal attention inside every unforked stretch of tokens, full
attention of what comes after a stretch to it, and the parts merged by their log-sum-exp.

The parts of a softmax over the union of key sets A and B are exact: with out_A, lse_A and out_B, lse_B of each set alone,
lse = log(e^lse_A + e^lse_B) and out = e^(lse_A - lse) out_A + e^(lse_B - lse) out_B. A kernel's backward pass, given the merged
out and lse in place of its own, gives exactly its part of the whole gradient, since it forms its probabilities as
e^(score - lse). So every part is one call of a variable-length kernel (rl/attention/kernels.py), forward and backward.

A stretch runs from one fork of the tree to the next; the trunk is the first. Where answers fork once, right behind the
prompt, there are two parts; each further fork on a path adds one, over ever fewer tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from rl.attention.kernels import Kernel, Lengths, kernel_for
from rl.attention.shape import RowShape


@dataclass(frozen=True)
class Stretch:
    """Tokens [start, stop) without a fork between them, whose descendants are [stop, end), `level` stretches below the root."""

    start: int
    stop: int
    end: int
    level: int


def stretches(end: Sequence[int]) -> list[Stretch]:
    """Those of a row, from left to right; they cover it."""
    found: list[Stretch] = []
    above: list[Stretch] = []  # ancestors of the place at hand
    start = 0
    while start < len(end):
        stop = start + 1
        while stop < end[stop - 1] and end[stop] == end[stop - 1]:  # the next token is the only child
            stop += 1
        while above and above[-1].end <= start:
            above.pop()
        stretch = Stretch(start, stop, end[start], len(above))
        found.append(stretch)
        above.append(stretch)
        start = stop
    return found


@dataclass(frozen=True)
class Part:
    """One call: which tokens ask, which are asked (None: all of the row), and how these fall into independent pieces."""

    lengths: Lengths
    query_n: Tensor | None
    key_m: Tensor | None


class SplitAttention:
    """An `AttentionLayout` of a row. `indices` are `split_indices` of its shape, on the device."""

    def __init__(self, shape: RowShape, indices: Mapping[str, Tensor]) -> None:
        self.parts: list[Part] = []
        for name, (queries, keys) in _ranges(shape.end).items():
            lengths = Lengths.of(queries, keys, indices[f"{name}.q"], indices[f"{name}.k"], causal=name == "own")
            self.parts.append(Part(lengths, indices.get(f"{name}.query"), indices.get(f"{name}.key")))

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        out_NHD: Tensor = _Merged.apply(q, k, v, scale, self.parts, kernel_for(q))
        return out_NHD.transpose(0, 1)[None]


Range = tuple[int, int]


def _ranges(end: Sequence[int]) -> dict[str, tuple[list[Range], list[Range]]]:
    """The pieces of each part, queries and keys: every stretch within itself ("own"), then by level all that have descendants,
    which ask, and they, who are asked."""
    found = stretches(end)
    own = [(s.start, s.stop) for s in found]
    parts = {"own": (own, own)}
    for level in range(max((s.level for s in found), default=0)):
        at = [s for s in found if s.level == level and s.stop < s.end]
        parts[f"{level}"] = ([(s.stop, s.end) for s in at], [(s.start, s.stop) for s in at])
    return parts


def split_indices(shape: RowShape) -> dict[str, Tensor]:
    """What the kernels need of a row, to be moved to the device: bounds of the pieces (int32) and places of their tokens."""
    out: dict[str, Tensor] = {}
    for name, (queries, keys) in _ranges(shape.end).items():
        for side, ranges in (("q", queries), ("k", keys)):
            out[f"{name}.{side}"] = torch.tensor([0, *accumulate(b - a for a, b in ranges)], dtype=torch.int32)
        if name != "own":
            out[f"{name}.query"], out[f"{name}.key"] = (
                torch.cat([torch.arange(a, b) for a, b in r]) for r in (queries, keys)
            )
    return out


class _Merged(torch.autograd.Function):
    """q [N, H, D], k and v [N, Hkv, D] -> [N, H, D]."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float, parts: Sequence[Part], kernel: Kernel
    ) -> Tensor:
        own, *others = parts
        out, lse = kernel.forward(q, k, v, own.lengths, scale)
        if others:
            merged = out.to(lse.dtype)
            for part in others:
                more, lse_n = kernel.forward(*_taken(part, q, k, v), part.lengths, scale)
                assert part.query_n is not None
                before = lse[part.query_n]
                after = torch.logaddexp(before, lse_n)
                mixed = (
                    merged[part.query_n] * (before - after).exp()[..., None] + more * (lse_n - after).exp()[..., None]
                )
                merged = merged.index_copy(0, part.query_n, mixed)
                lse = lse.index_copy(0, part.query_n, after)
            out = merged.to(q.dtype)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.rest = (scale, parts, kernel)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse = ctx.saved_tensors
        scale, parts, kernel = ctx.rest
        own, *others = parts
        grads = kernel.backward(d_out, q, k, v, out, lse, own.lengths, scale)
        for part in others:
            at = part.query_n
            q_n, k_m, v_m = _taken(part, q, k, v)
            more = kernel.backward(d_out[at], q_n, k_m, v_m, out[at], lse[at], part.lengths, scale)
            for whole, piece, where in zip(grads, more, (at, part.key_m, part.key_m), strict=True):
                whole.index_add_(0, where, piece)
        return (*grads, None, None, None)


def _taken(part: Part, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    assert part.query_n is not None and part.key_m is not None
    return q[part.query_n], k[part.key_m], v[part.key_m]


__all__ = ["SplitAttention", "Stretch", "split_indices", "stretches"]
