"""From logits to drawn tokens, on the logits' device and without the host looking at any number.

The uniform numbers come from (seed, request, sample, position) alone, so that no batch, loop or device changes a draw.
Suffixes: P prompts, n samples of each, S samples in all, R rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from agents.backends.base import Sampling
from agents.backends.vlm import VLM, EncodedPrompt


class DecodingLoop(Protocol):
    """How the n samples of each of some prompts are decoded together."""

    def decode(
        self, prompts: Sequence[EncodedPrompt], n: int, sampling: Sampling, uniform_PnT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens and their log-probabilities [S, T] on the CPU, sample after sample of each prompt; after an end token pad
        tokens and 0."""
        ...


def uniform_numbers(sampling: Sampling, prompts: int, n: int) -> Tensor:
    """[P, n, T] in fp64, in [0, 1)."""
    generator = torch.Generator().manual_seed(sampling.seed)
    rows = list(range(prompts) if sampling.rows is None else sampling.rows)
    shape = (max(rows, default=-1) + 1, n, sampling.max_new_tokens)
    return torch.rand(shape, generator=generator, dtype=torch.float64)[rows]


def distribution(vlm: VLM, logits_RV: Tensor, sampling: Sampling) -> Tensor:
    """Log-probabilities [R, V] that are sampled from: fp32, temperature, bans, then top-k and top-p. `logits_RV` may be
    changed."""
    logits = logits_RV.float()
    if sampling.temperature > 0:
        logits = logits / sampling.temperature
    logits.index_fill_(1, vlm.banned_on(logits.device), -torch.inf)
    if sampling.top_k != -1 and sampling.top_k < logits.shape[-1]:
        least = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if sampling.top_p < 1:
        ranked, index = logits.softmax(-1).sort(-1, descending=True)
        outside = ranked.cumsum(-1) - ranked >= sampling.top_p  # the token that crosses the mark stays
        logits = logits.masked_fill(torch.zeros_like(outside).scatter(-1, index, outside), -torch.inf)
    return logits.log_softmax(-1)


def invert_cdf(log_p_RV: Tensor, uniform_Rn: Tensor) -> Tensor:
    """n draws per row by inverting the cumulative distribution in fp64; a token of probability 0 is never drawn."""
    cdf = log_p_RV.double().exp().cumsum(-1)
    total = cdf[:, -1:]
    mark = torch.minimum(uniform_Rn * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cdf, mark, right=True)


__all__ = ["DecodingLoop", "distribution", "invert_cdf", "uniform_numbers"]
