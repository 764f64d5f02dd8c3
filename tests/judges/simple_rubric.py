"""A rubric of one question for tests of clients and judges: two numbers from 0 to 10, the lower one counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from PIL import Image

from benchmarks.base import EditSample
from judges.question import Encoding, JudgeSampling, Question, Unreadable

SCHEMA = {
    "type": "object",
    "properties": {
        "score": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 10},
            "minItems": 2,
            "maxItems": 2,
        },
        "reasoning": {"type": "string"},
    },
    "required": ["score", "reasoning"],
    "additionalProperties": False,
}


def read(text: str) -> Mapping[str, Any]:
    """The outermost braces of the reply, as JSON."""
    result = json.loads(text[text.index("{") : text.rindex("}") + 1])
    pair = result["score"]
    if len(pair) != 2 or not all(isinstance(v, int) and 0 <= v <= 10 for v in pair):
        raise Unreadable(f"score is {pair}, not two integers from 0 to 10")
    return {"score": pair}


@dataclass(frozen=True)
class SimpleRubric:
    name: str = "simple"
    scores: tuple[str, ...] = ("overall",)
    scales: Mapping[str, float] = None  # type: ignore[assignment]
    sampling: JudgeSampling = JudgeSampling(max_tokens=64)
    repeats: int = 1
    names: tuple[str, ...] = ("sc",)
    encoding: Encoding = Encoding(longest=64)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", {"overall": 10.0})

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        return [
            Question(name, (f"{name}: {item.request}", before, after), read, "Be fair.", SCHEMA, self.encoding)
            for name in self.names
        ]

    def score(self, answers: Mapping[str, Mapping[str, Any]], item: EditSample) -> Mapping[str, float]:
        return {"overall": float(min(v for answer in answers.values() for v in answer["score"]))}

    def combine(self, passes: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        return {"overall": median(p["overall"] for p in passes)}
