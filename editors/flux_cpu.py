"""FLUX's blocks without work that the result does not need, which costs time on a CPU.

* The last block computes keys and values for all tokens, and everything else for the result's tokens alone: only these leave
  the model. With six blocks that is a tenth of the time; with the published 57 it is nothing, and a GPU has its own kernels.
* Rotary positions (RoPE, arXiv 2104.09864) are one complex product over pairs of channels instead of five passes.

The weights and their names stay the same, and so do the values up to the order of additions.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.transformers.transformer_flux import (
    FluxAttention,
    FluxAttnProcessor,
    FluxSingleTransformerBlock,
    FluxTransformer2DModel,
)
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Rotation = tuple[Tensor, Tensor]  # cosines and sines, [T, D] each, equal in neighbouring pairs of channels


def use_cpu_blocks(transformer: FluxTransformer2DModel) -> None:
    """Change the blocks in place, for sequences of as many source tokens as result tokens, the result's first. Idempotent.

    Not for a transformer with block caching: a cache compares what enters and what leaves the blocks.
    """
    plain = all(type(p) in (FluxAttnProcessor, PairedRotation) for p in transformer.attn_processors.values())
    if plain and type(transformer.single_transformer_blocks[-1]) is FluxSingleTransformerBlock:
        transformer.set_attn_processor(PairedRotation())
        transformer.single_transformer_blocks[-1].__class__ = LastBlock


class PairedRotation(FluxAttnProcessor):
    """FluxAttnProcessor, but for how rotary positions are applied."""

    def __call__(
        self,
        attn: FluxAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotation | None = None,
    ) -> Any:
        q, k, v = heads(attn, hidden_states)
        if encoder_hidden_states is not None:
            text_q, text_k, text_v = text_heads(attn, encoder_hidden_states)
            q, k, v = torch.cat([text_q, q], 1), torch.cat([text_k, k], 1), torch.cat([text_v, v], 1)
        if image_rotary_emb is not None:
            turn = as_complex(image_rotary_emb)
            q, k = rotate(q, turn), rotate(k, turn)
        out = attend(q, k, v, attention_mask)
        if encoder_hidden_states is None:
            return out
        t = encoder_hidden_states.shape[1]
        return attn.to_out[1](attn.to_out[0](out[:, t:].contiguous())), attn.to_add_out(out[:, :t].contiguous())


class LastBlock(FluxSingleTransformerBlock):
    """The last single-stream block; of [B, 2 N, C] it returns the result's tokens only, [B, N, C]."""

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        image_rotary_emb: Rotation | None = None,
        joint_attention_kwargs: dict[str, Any] | None = None,
    ) -> tuple[Tensor, Tensor]:
        if joint_attention_kwargs or image_rotary_emb is None:
            raise NotImplementedError("the last block on a CPU takes calls with positions and no other arguments")
        text, result = encoder_hidden_states.shape[1], hidden_states.shape[1] // 2
        normed, gate = self.norm(torch.cat([encoder_hidden_states, hidden_states], 1), emb=temb)
        own, turn = normed[:, text : text + result].contiguous(), as_complex(image_rotary_emb)
        attn = self.attn
        q = attn.norm_q(attn.to_q(own).unflatten(-1, (-1, attn.head_dim)))
        k = attn.norm_k(attn.to_k(normed).unflatten(-1, (-1, attn.head_dim)))
        v = attn.to_v(normed).unflatten(-1, (-1, attn.head_dim))
        seen = attend(rotate(q, turn[text : text + result]), rotate(k, turn), v)
        change = self.proj_out(torch.cat([seen, self.act_mlp(self.proj_mlp(own))], 2))
        return encoder_hidden_states, hidden_states[:, :result] + gate.unsqueeze(1) * change


def heads(attn: FluxAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys (both normalised) and values [B, T, H, D] of picture tokens [B, T, C]."""
    q, k, v = (layer(x).unflatten(-1, (-1, attn.head_dim)) for layer in (attn.to_q, attn.to_k, attn.to_v))
    return attn.norm_q(q), attn.norm_k(k), v


def text_heads(attn: FluxAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same of text tokens in a double-stream block."""
    layers = (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
    q, k, v = (layer(x).unflatten(-1, (-1, attn.head_dim)) for layer in layers)
    return attn.norm_added_q(q), attn.norm_added_k(k), v


def as_complex(rotation: Rotation) -> Tensor:
    """complex[T, D / 2]: the factor of each pair of channels."""
    cos, sin = rotation
    return torch.complex(cos[:, ::2].float(), sin[:, ::2].float())


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """x [B, T, H, D] rotated by `turn`, complex[T, D / 2]."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn[None, :, None]).flatten(-2).to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(D)) v, [B, T, H, D] each, as [B, T, H D]."""
    out = scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask)
    return out.transpose(1, 2).flatten(2)


__all__ = ["LastBlock", "PairedRotation", "use_cpu_blocks"]
