"""The rewards of a closed loop's answers add up to what the loop gained."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agents.loop import Turn
from benchmarks.base import Edit, EditSample
from judges.base import Verdict
from judges.question import Usage
from rewards.steps import PictureScores, step_rewards


def turns_of(kinds: Sequence[str]) -> list[Turn]:
    """Answers of these kinds: "edit" and "again" make a picture each, "failed" is a call without one."""
    turns, made = [], 0
    for kind in kinds:
        if kind == "failed":
            turns.append(Turn("", "edit", base=made, failure="no picture"))
        elif kind in ("edit", "again"):
            made += 1
            turns.append(Turn("", kind, base=made - 1, made=made))  # type: ignore[arg-type]
        else:
            turns.append(Turn("", kind))  # type: ignore[arg-type]
    return turns


KINDS = st.lists(st.sampled_from(["edit", "again", "failed"]), max_size=6)
ENDS = st.sampled_from([[], ["stop"], ["malformed"]])
SCORES = st.lists(st.floats(0, 1), min_size=7, max_size=7)


@given(KINDS, ENDS, SCORES, st.floats(0, 0.5))
def test_the_sum_is_the_last_score_minus_the_first_minus_the_costs(kinds, end, scores, cost) -> None:
    turns = turns_of([*kinds, *end])
    rewards = step_rewards(turns, scores, cost)
    made = sum(turn.made is not None for turn in turns)
    paid = sum(turn.kind != "stop" for turn in turns)
    assert sum(r.total or 0.0 for r in rewards) == pytest.approx(scores[made] - scores[0] - cost * paid)
    if rewards:
        assert rewards[-1].components["final"] == scores[made]
        assert rewards[-1].components["calls"] == len(kinds)


@given(KINDS, SCORES, st.integers(0, 6))
def test_a_missing_score_makes_the_steps_on_both_sides_missing(kinds, scores, gone) -> None:
    turns = turns_of([*kinds, "stop"])
    full = step_rewards(turns, scores, 0.1)
    holed = step_rewards(turns, [None if m == gone else s for m, s in enumerate(scores)], 0.1)
    for k, (turn, one, other) in enumerate(zip(turns, full, holed, strict=True)):
        before = max([t.made for t in turns[:k] if t.made is not None], default=0)
        needed = gone in (before if turn.made is None else turn.made, before)
        assert other.total == (None if needed else one.total)


def test_what_changes_nothing_earns_nothing() -> None:
    for kind in ("failed", "malformed", "stop"):
        (reward,) = step_rewards(turns_of([kind]), [0.4], 0.0)
        assert reward.total == 0 and reward.components["gain"] == 0
        (reward,) = step_rewards(turns_of([kind]), [None], 0.0)
        assert reward.total is None  # without a verdict nothing is known, else a silent judge would teach to stop


class Counting:
    """Scores the red channel; knows nothing of black pictures."""

    concurrency, usage, calls = 1, Usage(), 0

    def judge(self, before: Image.Image, after: Image.Image, sample: EditSample) -> Verdict:
        self.calls += 1
        red = after.getpixel((0, 0))[0]  # type: ignore[index]
        return Verdict({"overall": red / 10}) if red else Verdict.invalid("black")


def test_equal_pictures_of_a_sample_are_judged_once() -> None:
    one, other = (EditSample(i, "r", (Edit("remove", "x"),), picture=Image.new("RGB", (2, 2))) for i in "ab")
    red, black = Image.new("RGB", (2, 2), (50, 0, 0)), Image.new("RGB", (2, 2))
    judge = Counting()
    values = PictureScores(judge)([one, one, other, one, other], [red, red.copy(), red, black, red])
    assert values == [0.5, 0.5, 0.5, None, 0.5] and judge.calls == 3
