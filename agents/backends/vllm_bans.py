"""Tokens that no request may sample, as a processor inside vLLM's sampler: before the temperature and the log-probabilities,
so that what is reported belongs to the distribution without them, as in training. Only import this where vLLM is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import LogitsProcessor


class BanTokens(LogitsProcessor):
    """The ids come in the engine's `additional_config`; one row of them for all requests, not 150,000 allowed ids for each."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self.ids = torch.tensor(vllm_config.additional_config["banned_ids"], dtype=torch.long, device=device)

    def is_argmax_invariant(self) -> bool:
        return False  # greedy decoding must heed them too

    def update_state(self, batch_update: Any) -> None:
        """Nothing depends on the request."""

    def apply(self, logits: Tensor) -> Tensor:
        """logits [B, V], changed in place."""
        return logits.index_fill_(-1, self.ids, -torch.inf)


__all__ = ["BanTokens"]
