"""The model's forward pass over one packed row: many sequences side by side, without padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from agents.backends.attention import AttentionLayout
from agents.backends.prompts import Features
from agents.backends.vlm import VLM


def picture_places(vlm: VLM, ids_N: Tensor) -> Tensor:
    """Where a row's picture tokens are, [I]; `ids_N` on the CPU, since a device would have to be waited for."""
    return ids_N.cpu().eq(vlm.image_token_id).nonzero()[:, 0]


def run_row(
    vlm: VLM,
    ids_N: Tensor,
    positions_3N: Tensor,
    features: Features,
    layout: AttentionLayout,
    places_I: Tensor | None = None,
) -> Tensor:
    """Last hidden states [N, D] of the row's N tokens. `features` are those of its images from left to right; `layout` alone
    says which tokens see each other. `places_I`: `picture_places` of the row, for a caller who has them.

    The model's own forward would find the picture tokens on the device and wait for it in every pass, so its two steps are here:
    features take the places of embeddings, and the language model runs.
    """
    text: Any = vlm.model.model.language_model
    device = vlm.model.device
    embeds_1ND = text.embed_tokens(ids_N.to(device))[None]
    extra: dict[str, Any] = {}
    if features:
        places_I = (picture_places(vlm, ids_N) if places_I is None else places_I).to(device)
        flat_IL = torch.cat(features).to(device, embeds_1ND.dtype)
        first, *deeper = flat_IL.split(embeds_1ND.shape[-1], -1)
        embeds_1ND = embeds_1ND.index_copy(1, places_I, first[None])
        if deeper:
            text._deepstack_process = add_at
            extra = {"visual_pos_masks": places_I, "deepstack_visual_embeds": deeper}
    out = text(
        inputs_embeds=embeds_1ND,
        position_ids=positions_3N[:, None].to(device),
        attention_mask=None,  # for one row without padding transformers builds no mask of its own
        use_cache=False,
        layout=layout,
        **extra,
    )
    return out.last_hidden_state[0]  # type: ignore[no-any-return]


def add_at(hidden_BTD: Tensor, where: Tensor, features_IL: Tensor) -> Tensor:
    """Qwen3-VL's own step after each of its first layers, for places [I] of a packed row as well as for a mask [B, T], whose
    True entries would have to be counted on the device."""
    features_IL = features_IL.to(hidden_BTD.device, hidden_BTD.dtype)
    if where.dtype != torch.bool:
        return hidden_BTD.index_add(1, where, features_IL[None])
    return hidden_BTD.masked_scatter(where[..., None], hidden_BTD[where] + features_IL)


__all__ = ["add_at", "picture_places", "run_row"]
