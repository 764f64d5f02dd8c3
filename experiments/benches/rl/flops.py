"""Floating-point operations of the training phase, counted by hand: matrix products and attention of the language model.

A product of [m, k] by [k, n] is 2 m k n. Backward costs twice the forward: every product has two derivatives, each as dear as
itself. Norms, activations and anything computed a second time for memory's sake do not count (arXiv 2204.02311, appendix B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rows:
    """What passes through the model in one training phase: G answers of `answer` tokens to a prompt of `prompt` tokens. The
    last token of an answer predicts nothing and does not enter the model."""

    prompt: int
    answer: int
    group: int

    def tokens(self, shared: bool) -> int:
        """Tokens that enter the model; padding and shared beginnings of answers are not in it."""
        answers = self.group * (self.answer - 1)
        return (self.prompt if shared else self.group * self.prompt) + answers

    def pairs(self, shared: bool) -> int:
        """(query, key) pairs that attention must look at: each token sees what comes before it and itself."""
        inside = self.prompt * (self.prompt + 1) // 2
        answer = self.answer - 1
        after = self.group * (answer * self.prompt + answer * (answer + 1) // 2)
        return (inside if shared else self.group * inside) + after

    @property
    def targets(self) -> int:
        """Tokens whose log-probability is wanted: so many rows reach the vocabulary."""
        return self.group * self.answer


def forward_flops(config: Any, rows: Rows, shared: bool) -> float:
    """Of the language model; `config` is its text config. The vision tower is frozen and has passed once before."""
    D, heads = config.hidden_size, config.num_attention_heads
    width = getattr(config, "head_dim", None) or D // heads
    q, kv = heads * width, config.num_key_value_heads * width
    linear = D * q + 2 * D * kv + q * D + 3 * D * config.intermediate_size  # weights of a layer
    layers = config.num_hidden_layers * (2 * linear * rows.tokens(shared) + 4 * q * rows.pairs(shared))
    return float(layers + 2 * D * config.vocab_size * rows.targets)


def training_flops(config: Any, rows: Rows, shared: bool) -> float:
    """Forward and backward."""
    return 3 * forward_flops(config, rows, shared)


__all__ = ["Rows", "forward_flops", "training_flops"]
