"""Items of every kind that the rubrics know, and one pass over their questions with replies that a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from benchmarks.base import EditSample
from benchmarks.item import Item
from judges.question import Question, Rubric

BEFORE = Image.new("RGB", (60, 40), "red")
AFTER = Image.new("RGB", (90, 90), "blue")
SOURCE = Image.new("RGB", (64, 32), "green")  # where a session began
REFERENCE = Image.new("RGB", (50, 50), "white")  # a published right result
REQUEST = 'Paint the "hat" {green}'


def item(kind: str = "", history: tuple[str, ...] = (), request: str = REQUEST, **facts: Any) -> Item:
    return Item("item-1", request, (), kind, history, facts=facts)


RISE = {
    "plain": item("temporal_reasoning", reference_text="A brown banana."),
    "source": item("causal", reference_text="A bitten apple.", needs_source=True),
    "free": item("spatial", reference_text="From above.", consistency_free=True),
    "picture": item("spatial", reference_image=lambda: REFERENCE),
    "logical": item(category="logical_reasoning", reference_text="The number 7."),
    "logical picture": item("logical", reference_image=lambda: REFERENCE),
    "logical alone": item("logical", reference_image=lambda: REFERENCE, hides_instruction=True),
}
MICE = {
    "cm": item(
        "cm",
        history=("From now on, use wool. With this rule active, Add a bowl",),
        request="Replace it with a cup",
        rule="From now on, use wool.",
        formatted_instruction="Replace [bowl] with [cup]",
        unchanged_objects=("red chair", "lamp"),
        bg_consistency=True,
    ),
    "nothing unchanged": item("cu", unchanged_objects=(), bg_consistency=False),
}
# One item for each way in which a rubric asks.
CASES: list[tuple[str, Item | EditSample]] = [
    *((name, item()) for name in ("paper", "viescore", "gedit", "editscore", "complex_edit")),
    ("paper", EditSample("sandbox-1", "recolor the star", ())),
    *(
        ("imgedit", item(edit_type=kind))
        for kind in ("replace", "add", "adjust", "remove", "style", "action", "extract", "background", "compose")
    ),
    ("imgedit", item("hybrid")),
    ("imgedit", item("uge")),
    *(("rise", value) for value in RISE.values()),
    *(("mice", value) for value in MICE.values()),
]


def ask(rubric: Rubric, of: EditSample) -> dict[str, Question]:
    asked = rubric.questions(of, BEFORE, AFTER)
    named = {question.name: question for question in asked}
    assert len(named) == len(asked)
    return named


def scored(rubric: Rubric, of: EditSample, replies: Mapping[str, Mapping[str, Any]]) -> Mapping[str, float]:
    """Scores of one pass in which the model answers these objects; `reasoning` is added where it is asked for."""
    answers = {}
    for name, question in ask(rubric, of).items():
        assert question.schema is not None
        said = {key: "because" for key in question.schema["properties"] if key == "reasoning"}
        answers[name] = question.read(json.dumps({**said, **replies[name]}))
    return rubric.score(answers, of)


def reply_of(question: Question, number: Callable[[int, int], int]) -> dict[str, Any]:
    """A reply that fits the question's schema, its numbers by `number(lowest, highest)`."""

    def made(schema: Mapping[str, Any]) -> Any:
        if schema["type"] == "integer":
            return number(schema["minimum"], schema["maximum"])
        if schema["type"] == "array":
            return [made(schema["items"]) for _ in range(schema["minItems"])]
        return "because"

    assert question.schema is not None
    return {key: made(schema) for key, schema in question.schema["properties"].items()}
