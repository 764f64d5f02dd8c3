"""The model's forward pass over one packed row: many sequences side by side, without padding."""

from __future__ import annotations

from torch import Tensor

from agents.backends.attention import AttentionLayout
from agents.backends.prompts import Features, encoder_outputs
from agents.backends.vlm import VLM


def run_row(vlm: VLM, ids_N: Tensor, positions_3N: Tensor, features: Features, layout: AttentionLayout) -> Tensor:
    """Last hidden states [N, D] of the row's N tokens. `features` are those of its images from left to right; `layout` alone
    says which tokens see each other."""
    device = vlm.model.device
    out = vlm.model.model(
        input_ids=ids_N[None].to(device),
        position_ids=positions_3N[:, None].to(device),
        attention_mask=None,  # for one row without padding transformers builds no mask of its own
        mm_encoder_outputs=encoder_outputs(vlm, features),
        use_cache=False,
        layout=layout,
    )
    return out.last_hidden_state[0]


__all__ = ["run_row"]
