"""The score that a reward model expects to give, beside the one that it says: from the probabilities of the digits at the place
where its trace says the score (as the scorer of UniWorld-V2 does without reasoning, arXiv 2510.16888):

    expected = sum_k k p_k over k = 0..10,  p_k the probability that the trace goes on with the whole number k

Two edits with the same verdicts get the same number when it is generated; the expectation still tells them apart. Digits behind the
point are those that the trace says. It costs one forward pass over the trace, and nothing more is generated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from agents.backends.base import Backend, Completion, ModelRequest
from agents.backends.token_scores import TokenScorer
from common.errors import BadInput
from judges.question import Unreadable
from judges.reasoning.trace import HIGHEST

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agents.backends.vlm import VLM

_TAG = re.compile(r"<score>(?!.*<score>)", re.DOTALL)  # the last one
_MARK = "expected score: "


def with_expected(backend: Backend, requests: Sequence[ModelRequest], traces: Sequence[Completion]) -> list[str]:
    """The texts of P traces, each an answer to its request, with the expected score on a last line of its own. A trace that says no
    score stays as it is. Raises BadInput as `expected_scores`."""
    scored = [k for k, trace in enumerate(traces) if _TAG.search(trace.text)]
    scores = expected_scores(backend, [requests[k] for k in scored], [traces[k] for k in scored])
    texts = [trace.text for trace in traces]
    for k, score in zip(scored, scores, strict=True):
        texts[k] += f"\n{_MARK}{score:.6g}"
    return texts


def read_expected(text: str) -> tuple[str, float]:
    """The trace and its expected score. Raises Unreadable where there is none."""
    trace, mark, number = text.rpartition(f"\n{_MARK}")
    if not mark:
        raise Unreadable(f"the trace says no score: {text[-200:]!r}")
    return trace, float(number)


def expected_scores(backend: Backend, requests: Sequence[ModelRequest], traces: Sequence[Completion]) -> list[float]:
    """Numbers from 0 to 10 of P traces that say a score. Raises BadInput for a backend that tells no probabilities, and for a
    tokenizer that writes a digit as more than one token."""
    if not isinstance(backend, TokenScorer):
        raise BadInput(
            f"{type(backend).__name__} cannot tell the probabilities of digits; take the number that the trace says "
            "(scoring=generated), or answer by rollouts=hf or vllm"
        )
    if not requests:
        return []
    tokenizer = backend.vlm.tokenizer
    starts = [trace.token_ids[: _score_begins(tokenizer, trace.token_ids)] for trace in traces]
    asked = [replace(request, answer=start) for request, start in zip(requests, starts, strict=True)]
    p_PK = backend.token_scores(asked, [str(k) for k in range(10)]).double().softmax(-1)
    means_P = p_PK @ torch.arange(10, dtype=torch.float64)
    one, zero = _ten(backend.vlm)
    after_one = [replace(request, answer=(*request.answer, one)) for request in asked]
    ten_P = backend.token_scores(after_one, [zero])[:, 0].double().exp()
    means_P += p_PK[:, 1] * ten_P * 9  # "1" counts as 1 above; where "0" follows it is 10
    ends = [trace.token_ids[len(start) :] for trace, start in zip(traces, starts, strict=True)]
    rest = [_behind_the_point(tokenizer.decode(list(end))) for end in ends]
    return [min(HIGHEST, mean + own) for mean, own in zip(means_P.tolist(), rest, strict=True)]


def _score_begins(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> int:
    """The number of tokens before the first digit of the score."""
    for n in range(len(token_ids), 0, -1):
        before = tokenizer.decode(list(token_ids[:n]))
        tag = _TAG.search(before)
        if tag and not before[tag.end() :].strip():
            return n
    raise BadInput("there is no score in the trace, and its expected value was asked for")


def _ten(vlm: VLM) -> tuple[int, int]:
    """The tokens of "1", and of the "0" that makes it 10."""
    tokens = vlm.tokenizer("10", add_special_tokens=False)["input_ids"]
    if len(tokens) != 2:
        raise BadInput(f"the tokenizer of {vlm.path} writes 10 as {len(tokens)} tokens; expected are two digits")
    return tokens[0], tokens[1]


def _behind_the_point(said: str) -> float:
    """Of the text behind the opening tag: 0.5 of " 6.5 </score>"."""
    _, point, digits = "".join(said.partition("<")[0].split()).partition(".")
    return float(f"0.{digits}") if point and digits.isdecimal() else 0.0


__all__ = ["expected_scores", "read_expected", "with_expected"]
