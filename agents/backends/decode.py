"""Sampling in which every distinct prefix is computed once: the loop of a CPU, where work counts and Python hardly does.

The samples of a prompt share one row of keys and values until their tokens differ; then the row is copied. A row's
numbers depend on its tokens only, so this changes nothing but the work: 2-3x fewer rows for a policy after its
supervised start, as many as without sharing in the worst case. Which rows are alike is decided by the host, token by token.

Suffixes: P prompts, n samples of each (S in all), R rows in use, T tokens of an answer, V vocabulary, D hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from agents.backends.attention import grouped_sdpa
from agents.backends.base import Sampling
from agents.backends.decoder_layer import decoder_layer
from agents.backends.draws import distribution, invert_cdf
from agents.backends.kv_cache import KVCache, prefill
from agents.backends.vlm import VLM, EncodedPrompt


class SharedRows:
    """A `DecodingLoop`; a row of the decoder serves all samples that are still alike."""

    def __init__(self, vlm: VLM) -> None:
        self.vlm = vlm

    def decode(
        self, prompts: Sequence[EncodedPrompt], n: int, sampling: Sampling, uniform_PnT: Tensor
    ) -> tuple[Tensor, Tensor]:
        vlm, P, T = self.vlm, len(prompts), sampling.max_new_tokens
        decoder = Decoder(vlm, prompts, T, P * n)
        device = decoder.first_PD.device
        uniform_PnT = uniform_PnT.to(device)
        tokens_ST = torch.full((P * n, T), vlm.pad_id, dtype=torch.long)
        logp_ST = torch.zeros((P * n, T), dtype=torch.float32)
        live = list(range(P * n))  # samples without an end token yet
        row_S = [s // n for s in live]  # and the row of each
        prompt_R = torch.arange(P, device=device)
        hidden_RD = decoder.first_PD
        for t in range(T):
            log_p_RV = distribution(vlm, vlm.model.lm_head(hidden_RD), sampling)
            row, index = torch.tensor(row_S, device=device), torch.tensor(live)
            if sampling.temperature == 0:
                chosen = log_p_RV.argmax(-1)[row]
            else:  # each row draws for all samples of its prompt; a sample takes its own draw from its own row
                drawn_Rn = invert_cdf(log_p_RV, uniform_PnT[prompt_R, :, t])
                chosen = drawn_Rn[row, index.to(device) % n]
            tokens_ST[index, t] = chosen.cpu()
            logp_ST[index, t] = log_p_RV[row, chosen].cpu()
            going = [k for k, token in enumerate(chosen.tolist()) if token != vlm.eos_id]
            if t + 1 == T or not going:
                break
            live = [live[k] for k in going]
            row_S, ids, source, target = split_rows([row_S[k] for k in going], chosen[going].tolist())
            decoder.rows.copy(source, target)
            prompt_R = _moved(prompt_R, source, target, len(ids))
            hidden_RD = decoder.step(torch.tensor(ids, device=device), prompt_R)
        return tokens_ST, logp_ST


class Decoder:
    """The text model, one token per row and call; `rows` are filled with the prompts by the constructor."""

    def __init__(self, vlm: VLM, prompts: Sequence[EncodedPrompt], capacity: int, max_rows: int) -> None:
        """`capacity` tokens per row may follow the prompt. `first_PD` are the hidden states after the prompts."""
        text: Any = vlm.model.model.language_model
        self.text, self.lengths, self.head_norm = text, [len(p) for p in prompts], vlm.family.head_norm
        longest = max(self.lengths)
        self.rows = KVCache(vlm.model, max_rows, longest + capacity)
        begun = prefill(vlm, prompts, self.rows)
        self.first_PD = begun.hidden_PD
        device = self.first_PD.device
        self.after_P = torch.tensor(begun.after, device=device)
        table = torch.arange(max(begun.after) + capacity, device=device).expand(3, 1, -1)
        self.cos, self.sin = (x[0] for x in text.rotary_emb(self.first_PD, table))  # [position, D / H]
        self.mask_P = self._padding(longest + capacity, self.first_PD)
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
        end = self.rows.end
        mask = None if self.mask_P is None else self.mask_P[prompt_R, :, :, :end]
        x = self.text.embed_tokens(ids_R)
        for index, layer in enumerate(self.text.layers):
            keys, values = self.rows.stores[index][:, : len(x), :, :end].unbind(0)

            def attend(
                attention: Any, q: Tensor, k: Tensor, v: Tensor, keys: Tensor = keys, values: Tensor = values
            ) -> Tensor:
                keys[:, :, end - 1 :], values[:, :, end - 1 :] = k, v
                return grouped_sdpa(attention, q, keys, values, mask, scaling=attention.scaling)[0]

            x = decoder_layer(layer, x, cos, sin, self.head_norm, attend)
        return self.text.norm(x)


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


def _moved(prompt_R: Tensor, source: Sequence[int], target: Sequence[int], rows: int) -> Tensor:
    """The prompt of each row after `split_rows`."""
    moved = torch.cat([prompt_R, prompt_R.new_zeros(max(0, rows - len(prompt_R)))])
    moved[list(target)] = prompt_R[list(source)]
    return moved[:rows]


__all__ = ["Decoder", "SharedRows", "split_rows"]
