"""Attention for the CPU and for packed rows; both compute the same as the plain form.

Grouped attention: transformers copies keys and values once per query head whenever there is a mask (on CUDA the masked
grouped kernel is slow); the CPU kernel reads them in place, about 7x faster per decoding step at tiny sizes.
Packed rows: an `AttentionLayout` given to the model's forward as `layout=` decides which tokens attend to which.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from common.errors import BadInput

GROUPED = "sdpa_grouped"


class AttentionLayout(Protocol):
    """Which of the N tokens of one packed row attend to which."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        """query [1, H, N, D], key and value [1, Hkv, N, D] (positions applied) -> [1, H, N, D]."""
        ...


def grouped_sdpa(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    layout: AttentionLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """query [B, H, T, D], key and value [B, Hkv, S, D] -> [B, T, H, D]; all but packed rows and masked groups on the CPU
    goes to transformers."""
    if layout is not None:
        layer: Any = module.layer_idx
        return layout.attend(layer, query, key, value, scaling).transpose(1, 2).contiguous(), None
    if attention_mask is None or getattr(module, "num_key_value_groups", 1) == 1 or query.device.type != "cpu":
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    out = scaled_dot_product_attention(
        query, key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scaling, enable_gqa=True
    )
    return out.transpose(1, 2).contiguous(), None


def use_grouped_attention(model: PreTrainedModel) -> None:
    """Switch a model that runs `sdpa` to the form above; others are left as they are."""
    text = model.config.get_text_config()
    if text._attn_implementation == "sdpa":
        AttentionInterface.register(GROUPED, grouped_sdpa)
        AttentionMaskInterface.register(GROUPED, sdpa_mask)
        text._attn_implementation = GROUPED


def need_packed_rows(model: PreTrainedModel) -> None:
    """Raise BadInput where a model's attention cannot follow an `AttentionLayout`."""
    text = model.config.get_text_config()
    if text._attn_implementation != GROUPED:
        raise BadInput(f"packed rows need a model loaded with sdpa attention, not {text._attn_implementation}")
    if "sliding_attention" in getattr(text, "layer_types", ()):  # a family without such layers has no list of them
        raise BadInput(
            "packed rows do not know sliding-window layers; choose a checkpoint with use_sliding_window=false"
        )


__all__ = ["AttentionLayout", "grouped_sdpa", "need_packed_rows", "use_grouped_attention"]
