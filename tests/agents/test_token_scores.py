"""The probabilities of given words as the first token of an answer are those of a plain forward pass."""

from __future__ import annotations

import pytest
import torch

from agents.backends.hf import HFBackend
from agents.backends.token_scores import TokenScorer, single_tokens
from agents.backends.vlm import VLM, collate, load_vlm
from common.errors import BadInput
from tests.agents.test_hf_backend import requests
from tests.tiny_models import both_families

DIGITS = tuple("012345")


@both_families
def test_they_are_those_of_a_plain_forward_pass(tiny_vlm_path, tiny_vlm: VLM) -> None:
    """One request at a time through transformers alone, the softmax over the six logits worked out here."""
    backend = HFBackend(tiny_vlm, max_sequences=3)  # so that several batches are needed
    assert isinstance(backend, TokenScorer)
    scores_PK = backend.token_scores(requests(5), DIGITS)
    plain = load_vlm(tiny_vlm_path)  # untouched attention
    ids = [plain.tokenizer.convert_tokens_to_ids(digit) for digit in DIGITS]
    for row, prompt in zip(scores_PK, plain.encode(requests(5)), strict=True):
        with torch.no_grad():
            logits_V = plain.model(**collate(plain, [prompt])).logits[0, -1].float()
        six = logits_V[ids].exp() / logits_V[ids].exp().sum()
        assert torch.allclose(row.softmax(-1), six, atol=1e-5)
        logits_V[list(plain.banned_ids)] = -torch.inf
        assert torch.allclose(row, logits_V.log_softmax(-1)[ids], atol=1e-4)  # so that the mass on the six is known too


def test_they_depend_neither_on_the_batch_nor_on_the_order_of_the_words(tiny_vlm: VLM) -> None:
    backend = HFBackend(tiny_vlm)
    together = backend.token_scores(requests(6), DIGITS)
    alone = torch.cat([HFBackend(tiny_vlm).token_scores([r], DIGITS[::-1]) for r in requests(6)])
    assert torch.allclose(together, alone.flip(-1), atol=1e-5)
    assert backend.token_scores([], DIGITS).shape == (0, 6) and bool((together.exp().sum(-1) < 1).all())


def test_a_model_in_training_is_asked_without_dropout_and_left_as_it_was(tiny_vlm: VLM) -> None:
    tiny_vlm.model.train()
    HFBackend(tiny_vlm).token_scores(requests(2), DIGITS)
    assert tiny_vlm.model.training


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("0", "10"), "'10' is 2 tokens"),
        (("",), "'' is 0 tokens"),
        ((), "no word"),
        (("<|im_start|>",), "control token"),
        (("1", "1"), "'1' and '1' are the same token"),
    ],
)
def test_words_that_are_no_token_of_their_own_are_refused(tiny_vlm: VLM, words: tuple[str, ...], said: str) -> None:
    for ask in (single_tokens, lambda vlm, words: HFBackend(vlm).token_scores(requests(1), words)):
        with pytest.raises(BadInput, match=said):
            ask(tiny_vlm, words)
