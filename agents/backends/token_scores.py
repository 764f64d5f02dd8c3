"""How likely given words are as the first token of an answer: what a score by expectation is made of (arXiv 2510.16888).

The backends hf and vllm both tell it. A service does not: its top log-probabilities may leave a wanted token out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

from agents.backends.base import ModelRequest
from common.errors import BadInput

if TYPE_CHECKING:
    from agents.backends.vlm import VLM


@runtime_checkable
class TokenScorer(Protocol):
    """A backend that can be asked without generating anything. `vlm`: the model, with its tokenizer."""

    vlm: VLM

    def token_scores(self, requests: Sequence[ModelRequest], words: Sequence[str | int]) -> Tensor:
        """Log-probabilities [P, K] in fp32 of K words (or tokens, given by their ids) as the next token of the answer to each
        of P requests, under the model's whole distribution at temperature 1 without the banned tokens. Their softmax is that
        of the K logits alone.

        Raises BadInput for a word that is no single token.
        """
        ...


def single_tokens(vlm: VLM, words: Sequence[str | int]) -> list[int]:
    """The token with which an answer begins that says the word, as the model's tokenizer writes it; an id stands for itself.

    Raises BadInput for a word of several tokens or none, one that may never be sampled, and for words that are the same
    token, since their probabilities would be counted twice.
    """
    if not words:
        raise BadInput("there is no word whose probability could be asked for")
    ids: dict[int, str | int] = {}
    for word in words:
        tokens = [word] if isinstance(word, int) else vlm.tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(tokens) != 1:
            raise BadInput(
                f"{word!r} is {len(tokens)} tokens of the model in {vlm.path}; the first token of an answer can only be "
                "asked for a word that is one token"
            )
        if tokens[0] in vlm.banned_ids:
            raise BadInput(f"{word!r} is a control token of the model in {vlm.path}, which never answers with it")
        if tokens[0] in ids:
            raise BadInput(f"{word!r} and {ids[tokens[0]]!r} are the same token of the model in {vlm.path}")
        ids[tokens[0]] = word
    return list(ids)


__all__ = ["TokenScorer", "single_tokens"]
