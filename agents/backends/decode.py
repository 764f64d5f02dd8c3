"""Sampling in which every distinct prefix is computed once.

The samples of a prompt share one row of keys and values until their tokens differ; then the row is copied. A row's
numbers depend on its tokens only, so this changes nothing but the work: 2-3x fewer rows for a policy after its
supervised start, as many as without sharing in the worst case.

Suffixes: P prompts, n samples of each, R rows in use, V vocabulary, D hidden width; H heads, Hkv of keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from agents.backends.attention import grouped_sdpa
from agents.backends.packed import run_row
from agents.backends.vlm import VLM, EncodedPrompt


class KVCache:
    """Keys and values [rows, Hkv, capacity, D / H] of every layer; columns up to `end` are filled, prompts right-aligned."""

    def __init__(self, model: PreTrainedModel, rows: int, capacity: int) -> None:
        text = model.config.get_text_config()
        width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        shape = (rows, text.num_key_value_heads, capacity, width)
        like: dict[str, Any] = {"dtype": model.dtype, "device": model.device}
        self.stores = [torch.empty(2, *shape, **like) for _ in range(text.num_hidden_layers)]  # keys, values
        self.end = 0

    def copy(self, source: Sequence[int], target: Sequence[int]) -> None:
        """Rows `target` become those of `source`; no row may be in both."""
        if not source:
            return
        a, b = (torch.tensor(rows, device=self.stores[0].device) for rows in (source, target))
        for store in self.stores:
            store[:, b, :, : self.end] = store[:, a, :, : self.end]


class Prefill:
    """An `AttentionLayout` of whole prompts side by side, each causal; what they leave in `rows` is where decoding starts."""

    def __init__(self, lengths: Sequence[int], rows: KVCache) -> None:
        self.lengths, self.rows = list(lengths), rows
        rows.end = max(lengths)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        out = []
        parts = zip(*(x.split(self.lengths, 2) for x in (query, key, value)), strict=True)
        for row, (q, k, v) in enumerate(parts):
            start, end = self.rows.end - k.shape[2], self.rows.end
            store = self.rows.stores[layer][:, row]
            store[:, :, :start] = 0  # a mask hides these columns only while they hold finite numbers
            store[0, :, start:end], store[1, :, start:end] = k[0], v[0]
            out.append(scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=True))
        return torch.cat(out, 2)


class Decoder:
    """The text model, one token per row and call; `rows` are filled with the prompts by the constructor."""

    def __init__(self, vlm: VLM, prompts: Sequence[EncodedPrompt], capacity: int, max_rows: int) -> None:
        """`capacity` tokens per row may follow the prompt. `first_PD` are the hidden states after the prompts."""
        text: Any = vlm.model.model.language_model
        self.text, self.lengths, self.head_norm = text, [len(p) for p in prompts], vlm.family.head_norm
        longest = max(self.lengths)
        self.rows = KVCache(vlm.model, max_rows, longest + capacity)
        positions = vlm.prompts.positions(prompts)
        features = tuple(f for fs in vlm.prompts.features(prompts) for f in fs)
        hidden_ND = run_row(
            vlm,
            torch.cat([p.input_ids for p in prompts]),
            torch.cat([p.prompt_3T for p in positions], 1),
            features,
            Prefill(self.lengths, self.rows),
        )
        device = hidden_ND.device
        self.first_PD = hidden_ND[torch.tensor(self.lengths, device=device).cumsum(0) - 1]
        self.after_P = torch.tensor([p.after for p in positions], device=device)
        table = torch.arange(int(self.after_P.max()) + capacity, device=device).expand(3, 1, -1)
        self.cos, self.sin = (x[0] for x in text.rotary_emb(hidden_ND, table))  # [position, D / H]
        self.mask_P = self._padding(longest + capacity, hidden_ND)
        self.steps = 0

    def _padding(self, width: int, like: Tensor) -> Tensor | None:
        """[P, 1, 1, width], -inf where a shorter prompt's row holds nothing; None where all prompts are of one length."""
        if len(set(self.lengths)) == 1:
            return None
        empty = max(self.lengths) - torch.tensor(self.lengths)
        mask = torch.arange(width)[None] < empty[:, None]
        return torch.zeros(mask.shape).masked_fill(mask, -torch.inf)[:, None, None].to(like)

    def step(self, ids_R: Tensor, prompt_R: Tensor) -> Tensor:
        """Hidden states [R, D] after these tokens; row r continues prompt `prompt_R[r]`."""
        at = self.after_P[prompt_R] + self.steps
        cos, sin = self.cos[at][:, None], self.sin[at][:, None]
        self.rows.end += 1
        self.steps += 1
        mask = None if self.mask_P is None else self.mask_P[prompt_R, :, :, : self.rows.end]
        x = self.text.embed_tokens(ids_R)
        for index, layer in enumerate(self.text.layers):
            x = self._layer(index, layer, x, cos, sin, mask)
        return self.text.norm(x)

    def _layer(self, index: int, layer: Any, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """The families' decoder layer, as in transformers, for one token per row: x [R, D]. An answer has no pictures, so nothing
        of a vision tower is added."""
        R, end, attention = len(x), self.rows.end, layer.self_attn
        h = layer.input_layernorm(x)
        heads = (R, -1, 1, attention.head_dim)
        q, k = attention.q_proj(h).view(heads), attention.k_proj(h).view(heads)
        if self.head_norm:
            q, k = attention.q_norm(q), attention.k_norm(k)
        q, k = apply_rotary_pos_emb(q, k, cos, sin)
        keys, values = self.rows.stores[index][:, :R, :, :end].unbind(0)
        keys[:, :, end - 1 :], values[:, :, end - 1 :] = k, attention.v_proj(h).view(heads)
        out, _ = grouped_sdpa(attention, q, keys, values, mask, scaling=attention.scaling)
        x = x + attention.o_proj(out.view(R, -1))
        return x + layer.mlp(layer.post_attention_layernorm(x))


def split_rows(row_S: Sequence[int], token_S: Sequence[int]) -> tuple[list[int], list[int], list[int], list[int]]:
    """Rows after each sample drew its token: samples that shared a row and drew alike go on sharing one.

    Returns (row of each sample, token of each new row, source rows, target rows): the first `len(tokens)` rows are then in
    use, and each target must first become a copy of its source. A row keeps its place where it can, so little is copied.
    """
    draws = list(dict.fromkeys(zip(row_S, token_S, strict=True)))  # distinct (old row, token), in order
    heirs: dict[int, tuple[int, int]] = {}
    for row, token in draws:
        heirs.setdefault(row, (row, token))
    place = {key: row for row, key in heirs.items() if row < len(draws)}
    free = [r for r in range(len(draws)) if r not in heirs]
    moved = [key for key in draws if key not in place]
    place.update(zip(moved, free, strict=True))
    tokens = [0] * len(draws)
    for (_, token), row in place.items():
        tokens[row] = token
    return [place[key] for key in zip(row_S, token_S, strict=True)], tokens, [row for row, _ in moved], free


__all__ = ["Decoder", "KVCache", "split_rows"]
