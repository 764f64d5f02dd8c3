"""Attention of many independent pieces at once that also gives the log-sum-exp of each query, and its backward pass for a given
output and log-sum-exp: torch's flash kernels on CUDA and on the CPU, and a plain form for types that they do not know.

Pieces lie one after the other. Suffixes: n queries, m keys of all pieces, H heads, D channels of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

aten = torch.ops.aten


@dataclass(frozen=True)
class Lengths:
    """Where the pieces' queries and keys begin: on the host to loop over, on the device (int32, `q`, `k`) for kernels."""

    starts_q: Sequence[int]
    starts_k: Sequence[int]
    q: Tensor
    k: Tensor
    longest_q: int
    longest_k: int
    causal: bool

    @classmethod
    def of(
        cls, queries: Sequence[tuple[int, int]], keys: Sequence[tuple[int, int]], q: Tensor, k: Tensor, causal: bool
    ) -> Lengths:
        sizes_q, sizes_k = [b - a for a, b in queries], [b - a for a, b in keys]
        return cls(_starts(sizes_q), _starts(sizes_k), q, k, max(sizes_q), max(sizes_k), causal)

    def pieces(self) -> Iterator[tuple[slice, slice]]:
        bounds = zip(self.starts_q, self.starts_q[1:], self.starts_k, self.starts_k[1:], strict=False)
        return ((slice(a, b), slice(c, d)) for a, b, c, d in bounds)


def _starts(sizes: Sequence[int]) -> list[int]:
    out = [0]
    for size in sizes:
        out.append(out[-1] + size)
    return out


class Kernel(Protocol):
    def forward(self, q: Tensor, k: Tensor, v: Tensor, lengths: Lengths, scale: float) -> tuple[Tensor, Tensor]:
        """q [n, H, D], k and v [m, Hkv, D] -> out [n, H, D], log-sum-exp [n, H] in fp32 or better."""
        ...

    def backward(
        self, d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, lengths: Lengths, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of q, k, v through the probabilities e^(score - lse), where the whole output is `out`."""
        ...


def kernel_for(query: Tensor) -> Kernel:
    """By device and type: CUDA's flash kernel knows half precision only."""
    if query.device.type == "cpu":
        return FlashCPU()
    return FlashCUDA() if query.dtype in (torch.float16, torch.bfloat16) else Plain()


class FlashCUDA:
    """The flash kernel for variable lengths that torch contains, or the one that torch.nn.attention.activate_flash_attention_impl
    put in its place (FlashAttention 3 on Hopper)."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, lengths: Lengths, scale: float) -> tuple[Tensor, Tensor]:
        out, lse_Hn, *_ = aten._flash_attention_forward(
            q, k, v, lengths.q, lengths.k, lengths.longest_q, lengths.longest_k, 0.0, lengths.causal, False, scale=scale
        )
        return out, lse_Hn.t()

    def backward(
        self, d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, lengths: Lengths, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        seed = torch.zeros(2, dtype=torch.uint64, device=q.device)  # of dropout, which there is none of
        unused = torch.empty(0, dtype=torch.uint64, device=q.device)
        return aten._flash_attention_backward(
            d_out.contiguous(), q, k, v, out, lse.t().contiguous(), lengths.q, lengths.k, lengths.longest_q,
            lengths.longest_k, 0.0, lengths.causal, seed, unused, scale=scale,
        )  # fmt: skip


class _Looped:
    """One piece after the other, as [1, heads, tokens, channels]."""

    def one(self, q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def one_back(
        self, d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, causal: bool, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        raise NotImplementedError

    def forward(self, q: Tensor, k: Tensor, v: Tensor, lengths: Lengths, scale: float) -> tuple[Tensor, Tensor]:
        done = [self.one(_alone(q[a]), _alone(k[b]), _alone(v[b]), lengths.causal, scale) for a, b in lengths.pieces()]
        return torch.cat([_row(o) for o, _ in done]), torch.cat([lse[0].t() for _, lse in done])

    def backward(
        self, d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, lengths: Lengths, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        done = [
            self.one_back(
                _alone(d_out[a]), _alone(q[a]), _alone(k[b]), _alone(v[b]), _alone(out[a]), lse[a].t()[None],
                lengths.causal, scale,
            )
            for a, b in lengths.pieces()
        ]  # fmt: skip
        d_q, d_k, d_v = (torch.cat([_row(g) for g in grads]) for grads in zip(*done, strict=True))
        return d_q, d_k, d_v


def _alone(x: Tensor) -> Tensor:
    """[tokens, heads, channels] -> [1, heads, tokens, channels]"""
    return x.transpose(0, 1)[None]


def _row(x: Tensor) -> Tensor:
    return x[0].transpose(0, 1)


class FlashCPU(_Looped):
    """torch's own kernel for the CPU."""

    def one(self, q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> tuple[Tensor, Tensor]:
        out, lse = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal, scale=scale)
        return out, lse

    def one_back(
        self, d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, causal: bool, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        return aten._scaled_dot_product_flash_attention_for_cpu_backward(
            d_out, q, k, v, out, lse, 0.0, causal, scale=scale
        )


class Plain(_Looped):
    """As the definition says, scores and all, for every type and device."""

    def one(self, q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> tuple[Tensor, Tensor]:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        score = self._score(q, k, causal, scale)
        lse = score.logsumexp(-1)
        return (score - lse[..., None]).exp() @ v, lse

    def one_back(
        self, d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, causal: bool, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        groups = q.shape[1] // k.shape[1]
        many_k, many_v = (x.repeat_interleave(groups, 1) for x in (k, v))
        p = (self._score(q, many_k, causal, scale) - lse[..., None]).exp()
        d_score = p * (d_out @ many_v.mT - (d_out * out).sum(-1, keepdim=True)) * scale
        d_k, d_v = (x.unflatten(1, (-1, groups)).sum(2) for x in (d_score.mT @ q, p.mT @ d_out))
        return d_score @ many_k, d_k, d_v

    def _score(self, q: Tensor, k: Tensor, causal: bool, scale: float) -> Tensor:
        score = q @ k.mT * scale
        if not causal:
            return score
        later = torch.ones(score.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        return score.masked_fill(later, -torch.inf)


__all__ = ["FlashCPU", "FlashCUDA", "Kernel", "Lengths", "Plain", "kernel_for"]
