"""One token of every row in buffers that never move: what a CUDA graph can record.

A row belongs to one sample from its first token to its last; rows that are left over in a bucket repeat the first prompt. All rows
write into the same column, since prompts are right-aligned. The columns that hold nothing yet are hidden by a mask, so that
the shapes depend on the bucket alone.

Suffixes: P prompts, n samples of each, R rows of a bucket, V vocabulary; H heads, Hkv of keys and values, g = H / Hkv.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from agents.backends.decoder_layer import decoder_layer
from agents.backends.kv_cache import KVCache, prefill
from agents.backends.vlm import VLM, EncodedPrompt


class StaticStep:
    """`forward` reads `ids`, `column`, `position`, `mask` and the cache, and writes one column of the cache and `logits`. It can be
    repeated: only `advance` moves on."""

    def __init__(self, vlm: VLM, rows: int, columns: int) -> None:
        """Room for `rows` rows of `columns` columns, both already buckets."""
        self.vlm, self.rows, self.columns = vlm, rows, columns
        self.cache = KVCache(vlm.model, rows, columns)
        device, dtype = vlm.model.device, vlm.model.dtype
        self.text: Any = vlm.model.model.language_model
        self.ids = torch.zeros(rows, dtype=torch.long, device=device)
        self.position = torch.zeros(rows, dtype=torch.long, device=device)  # of each row's next token
        self.column = torch.zeros(1, dtype=torch.long, device=device)  # where all rows write next
        self.mask = torch.zeros(rows, 1, 1, columns, dtype=dtype, device=device)
        vocabulary = vlm.model.config.get_text_config().vocab_size
        self.logits = torch.empty(rows, vocabulary, dtype=torch.float32, device=device)
        table = torch.arange(columns, device=device).expand(3, 1, -1)
        like = torch.empty(0, dtype=dtype, device=device)
        self.cos, self.sin = (x[0] for x in self.text.rotary_emb(like, table))  # [position, D / H]

    @property
    def cache_bytes(self) -> int:
        return sum(store.nbytes for store in self.cache.stores)

    def fits(self, vlm: VLM) -> bool:
        """Whether the model is still of the type and on the device of these buffers."""
        return (vlm.model.dtype, vlm.model.device) == (self.mask.dtype, self.mask.device)

    def begin(self, prompts: Sequence[EncodedPrompt], n: int, rows: int, columns: int) -> Tensor:
        """Fill the first `rows` rows with the prompts, n rows each, and hide the columns up to `columns` that hold nothing.
        Returns the logits [rows, V] of the first tokens."""
        device = self.ids.device
        begun = prefill(self.vlm, prompts, self.cache)
        end, samples = self.cache.end, len(prompts) * n
        prompt_R = torch.tensor([r // n if r < samples else 0 for r in range(rows)], device=device)
        for store in self.cache.stores:
            store[:, :rows, :, :end] = store[
                :, prompt_R, :, :end
            ]  # the right side is a copy before anything is written
            store[:, :rows, :, end:columns] = 0  # a mask hides these columns only while they hold finite numbers
        empty_P = end - torch.tensor(begun.lengths, device=device)
        at = torch.arange(columns, device=device)
        hidden_PC = (at < empty_P[:, None]) | (at >= end)
        self.mask[:rows, 0, 0, :columns] = 0
        self.mask[:rows, 0, 0, :columns].masked_fill_(hidden_PC[prompt_R], -torch.inf)
        self.position[:rows] = torch.tensor(begun.after, device=device)[prompt_R]
        self.column.fill_(end)
        return self.vlm.model.lm_head(begun.hidden_PD).float()[prompt_R]

    def feed(self, ids_R: Tensor) -> None:
        """The next token of each row; from now on the column into which it goes is seen."""
        rows = len(ids_R)
        self.ids[:rows].copy_(ids_R)
        self.mask[:rows].index_fill_(3, self.column, 0)

    def forward(self, rows: int, columns: int) -> None:
        """`logits[:rows]` after the tokens that were fed, by the columns up to `columns`."""
        at = self.position[:rows]
        cos, sin = (table.index_select(0, at)[:, None] for table in (self.cos, self.sin))
        mask = self.mask[:rows, :, :, :columns]
        x = self.text.embed_tokens(self.ids[:rows])
        for index, layer in enumerate(self.text.layers):
            keys, values = self.cache.stores[index][:, :rows, :, :columns].unbind(0)

            def attend(
                attention: Any, q: Tensor, k: Tensor, v: Tensor, keys: Tensor = keys, values: Tensor = values
            ) -> Tensor:
                keys.index_copy_(2, self.column, k)
                values.index_copy_(2, self.column, v)
                grouped = q.view(rows, keys.shape[1], -1, q.shape[-1])  # [R, Hkv, g, D / H]: none is copied g times
                return scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, scale=attention.scaling)

            x = decoder_layer(layer, x, cos, sin, self.vlm.family.head_norm, attend)
        self.logits[:rows].copy_(self.vlm.model.lm_head(self.text.norm(x)))

    def advance(self) -> None:
        self.column.add_(1)
        self.position.add_(1)
        self.cache.end += 1

    def move(self, source: Sequence[int], target: Sequence[int]) -> None:
        """Rows `target` become those of `source`; no row may be in both."""
        self.cache.copy(source, target)
        for state in (self.mask, self.position):
            state[list(target)] = state[list(source)]


__all__ = ["StaticStep"]
