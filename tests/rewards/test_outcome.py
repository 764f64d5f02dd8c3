"""The reward from the picture: plan, edit, judge; an invalid verdict is missing, not 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from PIL import Image

from agents.editing import EditingAgent
from agents.sequencer import RulesSequencer
from benchmarks.base import Decomposition, Edit, EditSample
from common.errors import BadInput
from judges.base import Verdict
from judges.question import Usage
from rewards.outcome import OutcomeReward


@dataclass
class FakeJudge:
    """Gives the verdict that `verdict` makes of the edited picture and of how many it has judged before."""

    verdict: Callable[[Image.Image, int], Verdict]
    concurrency: int = 1
    usage: Usage = Usage()
    judged: int = 0

    def judge(self, before: Image.Image, after: Image.Image, sample: EditSample) -> Verdict:
        self.judged += 1
        return self.verdict(after, self.judged - 1)


class Painter:
    """Fills the picture with the number of characters it was told."""

    def edit(self, images, instructions, seeds):
        return [Image.new("RGB", im.size, (len(text), 0, 0)) for im, text in zip(images, instructions, strict=True)]


def sample(id_: str = "s") -> EditSample:
    return EditSample(id_, "r", (), picture=Image.new("RGB", (2, 2)))


def plans(*subjects: str) -> list[Decomposition]:
    return [Decomposition.of([Edit("remove", s)]) for s in subjects]


def test_the_edited_picture_is_what_is_judged():
    judge = FakeJudge(lambda picture, _: Verdict({"overall": float(picture.getpixel((0, 0))[0] - 10)}))
    reward = OutcomeReward(RulesSequencer(), EditingAgent(Painter()), judge)
    # "remove the x": 12 characters -> 2 of 10; 5 more -> 7; far too many are held at 1
    assert reward([sample()] * 3, plans("x", "xxxxxx", "x" * 50), [1, 2, 3]) == [pytest.approx(0.2), 0.7, 1.0]
    assert reward([], [], []) == []


def test_a_verdict_that_failed_is_missing():
    verdicts = [
        Verdict({"overall": 10.0}, valid=False),
        Verdict({}),
        Verdict({"overall": math.nan}),
        Verdict({"overall": 0.0}),
    ]
    reward = OutcomeReward(RulesSequencer(), EditingAgent(Painter()), FakeJudge(lambda _, k: verdicts[k]))
    assert reward([sample()] * 4, plans(*"abcd"), [0] * 4) == [None, None, None, 0.0]


def test_it_needs_a_picture():
    reward = OutcomeReward(RulesSequencer(), EditingAgent(Painter()), FakeJudge(lambda _, k: Verdict({})))
    with pytest.raises(BadInput, match="'t' has no picture"):
        reward([EditSample("t", "r", ())], plans("x"), [0])
