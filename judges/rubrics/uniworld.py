"""`uniworld`: UniWorld-V2's scorer (arXiv 2510.16888; PKU-YuanGroup/Edit-R1@4217f25, reward_server/): one number, no reasoning.

One call per edit: source, edited picture, then the instruction and what the result must meet besides (facts["requirement"],
"nothing else" where an item has none). The model is asked for a number from 0 to 5 alone, and by default it generates none:

    expected = sum of k * p_k over k = 0..5, p = softmax over the six logits of "0".."5" as the first token of the answer
    overall = 2 * expected: from 0 to 10; the paper's reward, from 0 to 1, is overall / 10

`scoring=generated` lets it answer and takes the number it says; the difference of the two is what the expectation is worth.
Pictures as there: JPEG in their own size (a local model sees them uncompressed). Different: the words are our own; there, an
edit that could not be scored counts as 0, here it is an invalid verdict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from PIL import Image

from benchmarks.base import EditSample
from judges.base import OVERALL
from judges.choices import GENERATED, LOGITS, expected_number, read_choices
from judges.question import Encoding, JudgeSampling, Question, Unreadable
from judges.rubrics.base import Answers, PromptRubric, facts_of, request_of

_HIGHEST = 5
_WORDS = tuple(str(k) for k in range(_HIGHEST + 1))
_PER_POINT = 10 / _HIGHEST
_NUMBER = re.compile(r"\s*\**([0-5])(?:\.0+)?\**\.?\s*")


class UniWorldRubric(PromptRubric):
    name = "uniworld"
    scores = (OVERALL,)
    scales = {OVERALL: 10.0}
    sampling = JudgeSampling(temperature=0.0, max_tokens=8)
    prompts = {"uniworld": ("request", "requirement")}
    scorings = (LOGITS, GENERATED)

    def __init__(self, scoring: Literal["logits", "generated"] = "logits") -> None:
        super().__init__()
        self.scoring = scoring

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        requirement = str(facts_of(item).get("requirement") or "nothing else").strip()
        parts = (before, after, self.fill("uniworld", request=request_of(item), requirement=requirement))
        encoding = Encoding(format="jpeg", quality=75, longest=None)
        if self.scoring == GENERATED:
            return (Question("score", parts, _read_number, encoding=encoding),)
        return (Question("score", parts, partial(read_choices, _WORDS), encoding=encoding, choices=_WORDS),)

    def score(self, answers: Answers, item: EditSample) -> Mapping[str, float]:
        answer = answers["score"]
        points = answer["number"] if self.scoring == GENERATED else expected_number(answer["probabilities"])
        return {OVERALL: min(10.0, _PER_POINT * points)}


def _read_number(text: str) -> Mapping[str, Any]:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise Unreadable(f"the reply is not a number from 0 to {_HIGHEST} alone: {text[:200]!r}")
    return {"number": int(match[1])}


__all__ = ["UniWorldRubric"]
