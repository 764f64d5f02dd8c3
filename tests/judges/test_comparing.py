"""A judge that is shown both edits: what it answers becomes a, b or tie, and nothing is made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from PIL import Image

from benchmarks.item import Item
from common.errors import BadInput
from judges.comparing import LLMComparison, PairwiseVerdict
from judges.question import BudgetSpent, JudgeSampling, Question, Reply, Usage
from judges.rubrics.pairwise import PairRubric

SOURCE, GOOD, BAD = (Image.new("RGB", (4, 4), c) for c in ("white", "green", "red"))
ITEM = Item(id="x", request="make it green", gold=())


@dataclass
class Model:
    """A client in this process: `answers` maps (picture of side A, of side B, repeat) to a reply."""

    answers: Callable[[Image.Image, Image.Image, int], Reply]
    asked: list[tuple[str, int]] = field(default_factory=list)
    concurrency: int = 2
    model: str = "in this process"
    usage: Usage = Usage()

    def ask(self, question: Question, sampling: JudgeSampling, repeat: int = 0) -> Reply:
        self.asked.append((question.name, repeat))
        _, a, b = (p for p in question.parts if isinstance(p, Image.Image))
        return self.answers(a, b, repeat)


def says(better: str) -> Reply:
    return Reply(json.dumps({"reasoning": "seen", "better": better}))


def compared(model: Model, a: Image.Image, b: Image.Image, **more: int) -> PairwiseVerdict:
    return LLMComparison(model, PairRubric(), **more).compare(SOURCE, a, b, ITEM)  # type: ignore[arg-type]


def green(a: Image.Image, b: Image.Image, repeat: int) -> Reply:
    colours = [p.getpixel((0, 0)) == GOOD.getpixel((0, 0)) for p in (a, b)]
    return says("tie" if colours[0] == colours[1] else "A" if colours[0] else "B")


def test_the_better_edit_wins_on_either_side_and_equals_tie() -> None:
    assert compared(Model(green), GOOD, BAD) == PairwiseVerdict("a") and compared(
        Model(green), BAD, GOOD
    ) == PairwiseVerdict("b")
    assert compared(Model(green), GOOD, GOOD) == PairwiseVerdict("tie")


def test_a_model_that_always_names_one_side_gives_a_tie_that_says_so() -> None:
    model = Model(lambda a, b, repeat: says("A"))
    assert compared(model, GOOD, BAD) == PairwiseVerdict("tie", consistent=False, favoured_side="A")
    assert sorted(name for name, _ in model.asked) == ["as_given", "swapped"]


def test_a_reply_that_cannot_be_read_is_asked_for_once_more_and_then_invalid() -> None:
    model = Model(lambda a, b, repeat: green(a, b, repeat) if repeat % 2 else Reply("well, who knows"))
    assert compared(model, GOOD, BAD) == PairwiseVerdict("a") and len(model.asked) == 4
    mute = compared(Model(lambda a, b, repeat: Reply("well, who knows")), GOOD, BAD)
    assert mute.label is None and "unreadable" in mute.reason


def test_a_refusal_is_invalid_at_once_and_a_spent_budget_goes_through() -> None:
    model = Model(lambda a, b, repeat: Reply(None, "content filter", refused=True))
    assert compared(model, GOOD, BAD) == PairwiseVerdict(None, "content filter") and len(model.asked) == 1

    def spent(a: Image.Image, b: Image.Image, repeat: int) -> Reply:
        raise BudgetSpent("5 dollars")

    with pytest.raises(BudgetSpent):
        compared(Model(spent), GOOD, BAD)


def test_the_majority_of_passes_decides_and_every_pass_is_asked_anew() -> None:
    model = Model(lambda a, b, repeat: green(a, b, repeat) if repeat < 4 else says("tie"))
    assert compared(model, GOOD, BAD, repeats=3) == PairwiseVerdict("a", consistent=False)
    assert len(set(model.asked)) == 6
    with pytest.raises(BadInput, match="at least 1 pass"):
        compared(model, GOOD, BAD, repeats=0)
