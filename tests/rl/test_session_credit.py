"""Advantages of sessions by hand and by property, and what the filter leaves out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl.loop import OneProcess
from rl.session_config import SessionRLConfig
from rl.session_credit import corrupted_shares, credit_turns, session_advantages
from rl.session_rollouts import FOLLOWS, session_group
from tests.rl.session_runs import Scored, turn_rollouts

NAN = math.nan
TWO_BY_TWO = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)  # two trajectories of two turns


def of(rewards: list[torch.Tensor], baseline: str, scale: str = "none") -> list[list[list[float]]]:
    return [a.tolist() for a, _ in session_advantages(rewards, baseline, scale, 0.0)]


def test_pooled_by_hand() -> None:
    assert of([TWO_BY_TWO], "pooled") == [[[0.75, -0.25], [-0.25, -0.25]]]


def test_by_turn_by_hand() -> None:
    assert of([TWO_BY_TWO], "turn") == [[[0.5, 0.0], [-0.5, 0.0]]]


def test_trajectories_by_hand() -> None:
    assert of([TWO_BY_TWO], "trajectory") == [[[0.25, 0.25], [-0.25, -0.25]]]


def test_the_published_scale_is_the_deviation_of_all_rewards() -> None:
    other = torch.tensor([[1.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    std = torch.cat([TWO_BY_TWO, other]).std(correction=0).item()
    first, second = of([TWO_BY_TWO, other], "pooled", "rewards")
    assert first[0][0] == pytest.approx(0.75 / std, rel=1e-6) and second[1][1] == pytest.approx(-0.75 / std, rel=1e-6)


REWARDS_OF_TRAJECTORIES = st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=5)


@given(REWARDS_OF_TRAJECTORIES, st.sampled_from(["pooled", "turn", "trajectory"]))
def test_advantages_add_up_to_0_and_shifts_do_not_matter(rewards: list[list[float]], baseline: str) -> None:
    reward_GK = torch.tensor(rewards, dtype=torch.float64)
    (advantage_GK, present), (moved, _) = (
        session_advantages([r], baseline, "none", 0.0)[0] for r in (reward_GK, reward_GK + 0.5)
    )
    assert present.all() and abs(float(advantage_GK.sum())) < 1e-4
    torch.testing.assert_close(advantage_GK, moved, atol=1e-5, rtol=0)


@pytest.mark.parametrize("baseline", ["pooled", "turn", "trajectory"])
def test_a_missing_reward_takes_no_part(baseline: str) -> None:
    reward = torch.tensor([[1.0, NAN], [0.0, 1.0], [0.5, 0.0]], dtype=torch.float64)
    ((advantage_GK, present_GK),) = session_advantages([reward], baseline, "none", 0.0)
    assert not present_GK[0, 1] and advantage_GK[0, 1] == 0 and present_GK.sum() == 5
    assert advantage_GK[present_GK].isfinite().all()


def test_sessions_of_different_lengths_share_a_step() -> None:
    longer = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]], dtype=torch.float64)
    for baseline in ("pooled", "turn", "trajectory"):
        found = session_advantages([TWO_BY_TWO, longer], baseline, "none", 0.0)
        alone = session_advantages([longer], baseline, "none", 0.0)
        assert [a.shape for a, _ in found] == [(2, 2), (2, 3)]
        torch.testing.assert_close(found[1][0], alone[0][0])


# -------------------------------------------------------------------------------------------------------------- filter
FOLLOWED = ([1, 0, 1], [0, 1, 1], [1, 1, 0])  # of three trajectories
REWARDS = ([0.9, 0.1, 0.4], [0.2, 0.7, 0.5], [0.8, 0.6, 0.3])


def turns(rule: str, followed: Any = FOLLOWED) -> list[Any]:
    scored = [
        [Scored(r, {FOLLOWS: f}) for r, f in zip(*own, strict=True)] for own in zip(REWARDS, followed, strict=True)
    ]
    group = session_group(0, _Session("s"), [turn_rollouts(own) for own in scored])
    return credit_turns([group], OneProcess(), SessionRLConfig(filter=rule, advantage_scale="none"))


@dataclass
class _Session:
    id: str


def test_what_follows_a_failed_turn_is_left_out_and_the_failed_turn_learns() -> None:
    assert [t.rollout.corrupted for t in turns("none")] == [False, False, True, False, True, True, False, False, False]
    assert [t.edit_counts for t in turns("published")] == [True, True, False, True, False, False, True, True, True]


def test_the_published_filter_takes_both_losses_and_the_intended_one_the_edits_alone() -> None:
    published, intended, none = turns("published"), turns("intended"), turns("none")
    assert [t.text_counts for t in published] == [t.edit_counts for t in published]
    assert all(t.text_counts for t in intended) and [t.edit_counts for t in intended] == [
        t.edit_counts for t in published
    ]
    assert all(t.text_counts and t.edit_counts for t in none)
    assert [t.advantage for t in published] == [t.advantage for t in none]  # what is left out still makes the baseline


def test_only_exactly_0_is_a_failure_and_a_missing_score_is_none() -> None:
    assert not any(t.rollout.corrupted for t in turns("none", ([0.25, 1, 1], [None, 1, 1], [1, 1, 1])))


def test_the_share_of_corrupted_turns() -> None:
    shares = corrupted_shares(turns("published"))
    corrupted, whole = shares["edit_unfiltered"]
    own = turns("none")
    assert (
        corrupted == pytest.approx(sum(abs(t.advantage) for t in own if t.rollout.corrupted)) and whole > corrupted > 0
    )
    assert shares["edit"][0] == 0 and shares["edit"][1] == pytest.approx(whole - corrupted)
    assert corrupted_shares(turns("intended"))["text"] == corrupted_shares(turns("intended"))["text_unfiltered"]
    assert corrupted_shares(turns("none"))["edit"][0] == corrupted


def test_the_flow_losss_advantages_are_clipped_and_the_texts_are_not() -> None:
    turn = turns("none")[1]
    big = type(turn)(turn.rollout, 9.0, True, True, True, 0, 0)
    assert big.edit(5.0).advantage == 5.0 and (answer := big.answer()) is not None and answer.advantage == 9.0
