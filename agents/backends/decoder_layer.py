"""The families' decoder layer, as in transformers, for one token per row: keys and values lie in a cache of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

Attend = Callable[[Any, Tensor, Tensor, Tensor], Tensor]
"""(attention module, q [R, H, 1, D / H], k and v [R, Hkv, 1, D / H]) -> the heads' outputs, R times H D / H numbers in this order;
it also puts k and v where later tokens find them."""


def decoder_layer(layer: Any, x: Tensor, cos: Tensor, sin: Tensor, head_norm: bool, attend: Attend) -> Tensor:
    """x [R, D] -> [R, D]; cos and sin [R, 1, D / H]. An answer has no pictures, so nothing of a vision tower is added."""
    attention = layer.self_attn
    h = layer.input_layernorm(x)
    heads = (len(x), -1, 1, attention.head_dim)
    q, k = attention.q_proj(h).view(heads), attention.k_proj(h).view(heads)
    if head_norm:
        q, k = attention.q_norm(q), attention.k_norm(k)
    q, k = apply_rotary_pos_emb(q, k, cos, sin)
    out = attend(attention, q, k, attention.v_proj(h).view(heads))
    x = x + attention.o_proj(out.view(len(x), -1))
    return x + layer.mlp(layer.post_attention_layernorm(x))


__all__ = ["Attend", "decoder_layer"]
