"""The reward from the picture: plan, edit, judge; an invalid verdict is missing, not 0."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from PIL import Image

from agents.editing import EditingAgent
from agents.sequencer import RulesSequencer
from benchmarks.base import Decomposition, Edit, EditSample
from common.errors import BadInput
from rewards.outcome import OutcomeReward


@dataclass
class Judged:
    """What the reward reads of a verdict."""

    scores: dict[str, float] = field(default_factory=dict)
    valid: bool = True


class Painter:
    """Fills the picture with the number of characters it was told."""

    def edit(self, images, instructions, seeds):
        return [Image.new("RGB", im.size, (len(text), 0, 0)) for im, text in zip(images, instructions, strict=True)]


def sample(id_: str = "s") -> EditSample:
    return EditSample(id_, "r", (), picture=Image.new("RGB", (2, 2)))


def plans(*subjects: str) -> list[Decomposition]:
    return [Decomposition.of([Edit("remove", s)]) for s in subjects]


def test_the_edited_picture_is_what_is_judged():
    def judge(samples, images):
        return [Judged({"overall": float(im.getpixel((0, 0))[0] - 10)}) for im in images]

    reward = OutcomeReward(RulesSequencer(), EditingAgent(Painter()), judge)
    # "remove the x": 12 characters -> 2 of 10; 5 more -> 7; far too many are held at 1
    assert reward([sample()] * 3, plans("x", "xxxxxx", "x" * 50), [1, 2, 3]) == [pytest.approx(0.2), 0.7, 1.0]
    assert reward([], [], []) == []


def test_a_verdict_that_failed_is_missing():
    verdicts = [
        Judged({"overall": 10.0}, valid=False),
        Judged({}),
        Judged({"overall": math.nan}),
        Judged({"overall": 0.0}),
    ]
    reward = OutcomeReward(RulesSequencer(), EditingAgent(Painter()), lambda samples, images: verdicts)
    assert reward([sample()] * 4, plans(*"abcd"), [0] * 4) == [None, None, None, 0.0]


def test_it_needs_a_picture():
    reward = OutcomeReward(RulesSequencer(), EditingAgent(Painter()), lambda samples, images: [])
    with pytest.raises(BadInput, match="'t' has no picture"):
        reward([EditSample("t", "r", ())], plans("x"), [0])
