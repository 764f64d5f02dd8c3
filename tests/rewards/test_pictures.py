"""Rewards of pictures: a weighted mean of what is there, and nothing made up for what is not."""

from collections.abc import Sequence

import pytest
from PIL import Image

from agents.editing import EditingAgent
from agents.sequencer import RulesSequencer
from benchmarks.base import Decomposition, EditSample
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput
from editors.sandbox import SandboxEditor
from judges.sandbox import SandboxJudge
from rewards.pictures import Component, PictureRewards, PlanReward, judged, scaled

BENCH = SandboxBenchmark("test", 2)
SAMPLES = [BENCH.sample(i) for i in range(3)]
PICTURES = [s.target for s in SAMPLES]


def given(*values: float | None) -> Component:
    def score(samples: Sequence[EditSample], pictures: Sequence[Image.Image]) -> list[float | None]:
        return list(values)

    return score


def test_the_mean_is_weighted_and_a_missing_part_makes_it_missing() -> None:
    rewards = PictureRewards({"rrm": given(0.2, None, 1.0), "judge": given(0.8, 0.5, None)}, {"rrm": 3.0, "judge": 1.0})
    scores = rewards(SAMPLES, PICTURES, [0, 1, 2])
    assert scores[0].total == pytest.approx(0.35)
    assert [s.total for s in scores[1:]] == [None, None]
    assert scores[2].components == {"rrm": 1.0, "judge": None}


def test_a_part_without_weight_is_logged_and_never_needed() -> None:
    rewards = PictureRewards({"rrm": given(0.2), "judge": given(None)}, {"rrm": 1.0, "judge": 0.0})
    (score,) = rewards(SAMPLES[:1], PICTURES[:1], [0])
    assert score.total == 0.2 and score.components["judge"] is None


def test_the_exact_judge_and_scaled_scores() -> None:
    exact = judged(SandboxJudge())(SAMPLES, PICTURES)
    assert exact == pytest.approx([1.0, 1.0, 1.0])
    assert scaled(given(5.0, None, 10.0))(SAMPLES, PICTURES) == [0.5, None, 1.0]


@pytest.mark.parametrize("weights", [{}, {"rrm": 0.0}, {"rrm": -1.0}, {"rrm": 1.0, "x": 1.0}])
def test_weights_that_make_no_reward_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="weights"):
        PictureRewards({"rrm": given(1.0)}, weights)


def test_a_plan_is_rewarded_by_the_picture_it_leads_to() -> None:
    """The exact editor carries out the gold plan; nothing is scored where it gave no picture."""
    plans = [Decomposition.of(s.gold) for s in SAMPLES]
    rewards = PictureRewards({"judge": judged(SandboxJudge())}, {"judge": 1.0})
    reward = PlanReward(RulesSequencer(), EditingAgent(SandboxEditor()), rewards)
    right = reward(SAMPLES, plans, [0, 1, 2])
    wrong = reward(SAMPLES, plans[1:] + plans[:1], [0, 1, 2])
    assert all(v is not None and v > 0.9 for v in right)
    assert sum(v or 0.0 for v in wrong) < sum(v or 0.0 for v in right)
    assert reward([], [], []) == []
