"""Log-probability and entropy of chosen tokens from hidden states, the output layer included, some tokens at a time.

With z = logits / temperature + bans, p = softmax(z): log p_t = z_t - logsumexp(z) and H = -sum p log p. For gradients g of
log p_t and h of H, dz = g (1_t - p) - h p (log p + H), of which both products with the layer's weights follow. Checkpointing
would call the layer a second time; here logits are kept for the backward pass, in the type in which the layer gave them, as
far as `keep_bytes` reaches, and only the rest is computed again. A layer that is not trained needs neither: what its backward
pass wants of the vocabulary is W_t - sum p W, one vector a token, which the forward pass leaves.

Suffixes: N tokens, D hidden width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from editors.onednn import product

Chunk = slice


def token_stats(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    ids_N: Tensor,
    ban_V: Tensor,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
    keep_bytes: int = 0,
    entropy_gradient: bool = False,
) -> tuple[Tensor, Tensor]:
    """(log p of `ids_N`, entropies), both [N], in fp32 (float64 for such weights), in nats; entropies have a gradient only with
    `entropy_gradient`. `ban_V` is added to the logits. Products are of autocast's type where it is on, else of the weights'."""
    device = hidden_ND.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight_VD.dtype
    with torch.autocast(device, enabled=False):
        logp_N, entropy_N = _TokenStats.apply(
            hidden_ND, weight_VD, ids_N, ban_V, temperature, chunk_tokens, keep_bytes, entropy_gradient, dtype
        )
    return logp_N, entropy_N


class _TokenStats(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, ids_N: Tensor, ban_V: Tensor, temperature: float,
        chunk_tokens: int, keep_bytes: int, entropy_gradient: bool, dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        h_ND, w_VD = hidden_ND.to(dtype), weight_VD.to(dtype)
        need_hidden, need_weight = ctx.needs_input_grad[:2]
        directions = need_hidden and not need_weight and not entropy_gradient
        logp, entropy, kept = [], [], []
        room = keep_bytes if (need_hidden or need_weight) and not directions else 0
        for rows in _chunks(len(ids_N), chunk_tokens):
            logits = product(h_ND[rows], w_VD)
            log_p = _scaled(logits, ban_V, temperature).log_softmax(-1)
            logp.append(log_p.gather(-1, ids_N[rows, None])[:, 0])
            p = log_p.exp()
            if directions:
                kept.append(w_VD[ids_N[rows]] - product(p.to(dtype), w_VD.t()))
            entropy.append(-p.mul_(log_p).sum(-1))
            if (room := room - logits.nbytes) >= 0:
                kept.append(logits)
            del logits, log_p, p  # before the next chunk's are there
        entropy_N = torch.cat(entropy)
        ctx.save_for_backward(hidden_ND, weight_VD, ids_N, ban_V, entropy_N, *kept)
        ctx.rest = (temperature, chunk_tokens, entropy_gradient, dtype, directions)
        if not entropy_gradient:
            ctx.mark_non_differentiable(entropy_N)
        return torch.cat(logp), entropy_N

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g_N: Tensor, g_entropy_N: Tensor) -> tuple[Tensor | None, ...]:
        hidden_ND, weight_VD, ids_N, ban_V, entropy_N, *kept = ctx.saved_tensors
        temperature, chunk_tokens, entropy_gradient, dtype, directions = ctx.rest
        need_hidden, need_weight = ctx.needs_input_grad[:2]
        nothing = (None,) * 7
        if directions:
            d_hidden = torch.cat(kept) * (g_N / temperature)[:, None].to(dtype)
            return d_hidden.to(hidden_ND.dtype), None, *nothing
        h_ND, w_VD = hidden_ND.to(dtype), weight_VD.to(dtype)
        d_hidden_parts: list[Tensor] = []
        d_weight: Tensor | None = None
        for k, rows in enumerate(_chunks(len(ids_N), chunk_tokens)):
            logits = kept[k] if k < len(kept) else product(h_ND[rows], w_VD)
            z = _scaled(logits, ban_V, temperature)
            g_N1 = g_N[rows, None]
            if entropy_gradient:
                log_p = z.log_softmax(-1)
                d_z = log_p.exp().mul_(log_p.add_(entropy_N[rows, None]).mul_(-g_entropy_N[rows, None]).sub_(g_N1))
                del log_p
            else:
                d_z = z.softmax(-1).mul_(-g_N1)
            d_z = d_z.scatter_add_(-1, ids_N[rows, None], g_N1.to(d_z.dtype)).div_(temperature).to(dtype)
            if need_hidden:
                d_hidden_parts.append(product(d_z, w_VD.t()))
            if need_weight:
                d_weight = _added(d_weight, product(d_z.t(), h_ND[rows].t()))
            del logits, z, d_z
        d_hidden = torch.cat(d_hidden_parts).to(hidden_ND.dtype) if need_hidden else None
        return d_hidden, None if d_weight is None else d_weight.to(weight_VD.dtype), *nothing


def _chunks(tokens: int, size: int) -> list[Chunk]:
    return [slice(a, min(a + size, tokens)) for a in range(0, tokens, size)]


def _scaled(logits: Tensor, ban_V: Tensor, temperature: float) -> Tensor:
    """A fresh tensor of at least fp32."""
    z = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    if temperature != 1:
        z.div_(temperature)
    return z.add_(ban_V)


def _added(total: Tensor | None, more: Tensor) -> Tensor:
    """Sums over chunks in fp32, where there is more than one."""
    return more if total is None else total.to(torch.promote_types(total.dtype, torch.float32)).add_(more)


__all__ = ["token_stats"]
