"""Answers that are probabilities of given words, where other questions get text (as the scorer of UniWorld-V2, arXiv 2510.16888).

    p_k = exp(z_k) / sum_j exp(z_j) over the K words alone,  z_k the logit of word k as the first token of the answer
    mass = what the whole vocabulary gives to the K words together: near 0 where the model wanted to say something else

The reply to such a question is JSON with both, so that it is kept in the cache and shown in `Verdict.raw` as any other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from judges.question import Unreadable

GENERATED, LOGITS = "generated", "logits"  # how a score comes about


def write_choices(words: Sequence[str], logprobs_K: Sequence[float]) -> str:
    """The reply, from the log-probabilities of the words under the whole distribution."""
    most = max(logprobs_K)
    weights = [math.exp(z - most) for z in logprobs_K]
    probabilities = {word: weight / sum(weights) for word, weight in zip(words, weights, strict=True)}
    return json.dumps({"probabilities": probabilities, "mass": math.fsum(map(math.exp, logprobs_K))})


def read_choices(words: Sequence[str], text: str) -> Mapping[str, Any]:
    """{"probabilities": by word, "mass": …}. Raises Unreadable for what is no reply to a question with these words."""
    value = json.loads(text)
    probabilities = value["probabilities"]
    if list(probabilities) != list(words) or not math.isclose(math.fsum(probabilities.values()), 1.0, rel_tol=1e-6):
        raise Unreadable(f"these are no probabilities of {', '.join(words)}: {text[:200]}")
    return {"probabilities": probabilities, "mass": value["mass"]}


def expected_number(probabilities: Mapping[str, float]) -> float:
    """sum_k k p_k of words that are numbers."""
    return math.fsum(float(word) * p for word, p in probabilities.items())


__all__ = ["GENERATED", "LOGITS", "expected_number", "read_choices", "write_choices"]
