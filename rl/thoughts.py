"""Where the thought of an answer ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

END = "</think>"


@dataclass(frozen=True)
class ThoughtTokens:
    """Called with an answer's tokens: how many of the first ones belong to its thought, with its closing tag; 0 where the answer
    closes none."""

    tokenizer: Any  # of transformers

    def __call__(self, token_ids: Sequence[int]) -> int:
        text = ""
        for n, piece in enumerate(self.tokenizer.convert_ids_to_tokens(list(token_ids)), 1):
            text += piece
            if END in text[-len(piece) - len(END) :]:
                return n
        return 0


__all__ = ["END", "ThoughtTokens"]
