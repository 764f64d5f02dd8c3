"""Keys and values of all layers, one row per sequence, and how prompts get into them.

Suffixes: P prompts, R rows, N tokens side by side, D hidden width; H heads, Hkv of keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

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


@dataclass(frozen=True)
class Prefilled:
    """What is left of prompts besides their keys and values, which are in the first P rows of a cache."""

    hidden_PD: Tensor  # after the last token of each
    lengths: list[int]
    after: list[int]  # the position of the first token of an answer


def prefill(vlm: VLM, prompts: Sequence[EncodedPrompt], rows: KVCache) -> Prefilled:
    """Run the prompts, each as row of its own in `rows`, whose `end` is the longest one's length afterwards."""
    lengths = [len(p) for p in prompts]
    positions = vlm.prompts.positions(prompts)
    features = tuple(f for fs in vlm.prompts.features(prompts) for f in fs)
    hidden_ND = run_row(
        vlm,
        torch.cat([p.input_ids for p in prompts]),
        torch.cat([p.prompt_3T for p in positions], 1),
        features,
        Prefill(lengths, rows),
    )
    last = torch.tensor(lengths, device=hidden_ND.device).cumsum(0) - 1
    return Prefilled(hidden_ND[last], lengths, [p.after for p in positions])


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


__all__ = ["KVCache", "Prefill", "Prefilled", "prefill"]
