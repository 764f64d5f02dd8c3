"""From rewards to advantages of edits: components are mixed as advantages, histories are of a prompt, filters leave groups out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from rl.advantages import group_advantages
from rl.flow_config import FlowGRPOConfig, GroupFilterConfig
from rl.flow_credit import Credit, passes
from rl.flow_rollouts import FlowGroup, FlowRollout, flow_group
from rl.loop import OneProcess
from rl.mixed_advantages import mixed_advantages
from rl.prompt_statistics import PromptStatistics
from tests.rl.flow_runs import Scored

NAN = math.nan


def group(place: int, rewards: Sequence[float | None], id: str = "", **components: Sequence[float | None]) -> FlowGroup:
    nothing: Any = None
    picture = Image.new("RGB", (4, 4))
    scored = [Scored(r, {name: values[g] for name, values in components.items()}) for g, r in enumerate(rewards)]
    rollouts = [FlowRollout("", 0, nothing, picture, s) for s in scored]
    return flow_group(place, EditSample(id or f"s{place}", "", (), picture=picture), rollouts)


def config(**changes: Any) -> FlowGRPOConfig:
    return FlowGRPOConfig(advantage_eps=0.0, **changes)


def values(credit: Credit, *groups: FlowGroup) -> list[float]:
    return [item.advantage for item in credit(groups, OneProcess())]


def test_advantages_of_one_reward_are_the_plain_ones() -> None:
    rewards = [0.1, 0.5, 0.9]
    assert values(Credit(config()), group(0, rewards)) == pytest.approx([-1, 0, 1])
    assert values(Credit(config(advantage_scale="none")), group(0, rewards)) == pytest.approx([-0.4, 0, 0.4])


def test_a_missing_reward_has_no_gradient_and_does_not_move_the_others() -> None:
    items = Credit(config())([group(0, [0.1, None, 0.9])], OneProcess())
    assert [item.present for item in items] == [True, False, True]
    assert [item.advantage for item in items] == pytest.approx([-math.sqrt(0.5), 0, math.sqrt(0.5)], rel=1e-5)


def test_components_count_by_their_weight_and_not_by_their_spread() -> None:
    """One component spreads a hundred times more than the other; at equal weights they cancel."""
    g = group(0, [0.0] * 3, small=[0.49, 0.5, 0.51], great=[1.0, 0.0, -1.0])
    both = config(reward_weights={"small": 1.0, "great": 1.0})
    assert values(Credit(both), g) == pytest.approx([0, 0, 0], abs=1e-5)
    two = config(reward_weights={"small": 2.0, "great": 1.0})
    assert values(Credit(two), g) == pytest.approx([-1, 0, 1], abs=1e-5)


def test_a_missing_component_adds_nothing_and_the_others_still_count() -> None:
    g = group(0, [0.5] * 3, a=[0.0, 1.0, None], b=[1.0, 2.0, 3.0])
    items = Credit(config(reward_weights={"a": 1.0, "b": 1.0}))([g], OneProcess())
    half = math.sqrt(0.5)
    assert [item.advantage for item in items] == pytest.approx([-1 - half, half, 1], rel=1e-5)
    assert all(item.present for item in items)


def test_a_weight_of_an_unknown_component_is_refused_but_not_where_all_rewards_failed() -> None:
    credit = Credit(config(reward_weights={"redd": 1.0}))
    with pytest.raises(BadInput, match="redd, and this reward has the components red, total"):
        mixed_advantages(
            {"red": torch.zeros(1, 2), "total": torch.zeros(1, 2)}, {"redd": 1.0}, lambda n, r: group_advantages(r), 5
        )
    with pytest.raises(BadInput, match="redd"):
        credit([group(0, [0.5, 0.6], red=[0.5, 0.6])], OneProcess())
    assert not any(item.present for item in credit([group(0, [None, None])], OneProcess()))


def test_advantages_are_cut() -> None:
    rewards = [0.0] * 99 + [1.0]
    assert values(Credit(config()), group(0, rewards))[-1] == 5.0  # without the cut 9.9
    assert values(Credit(config(advantage_clip=0.5)), group(0, [0.0, 1.0])) == [-0.5, 0.5]


@given(st.lists(st.lists(st.floats(-3, 3), min_size=3, max_size=3), min_size=2, max_size=4), st.integers(1, 3))
def test_ranks_do_not_matter(rewards: list[list[float]], size: int) -> None:
    """Groups that are dealt out to ranks get what they get on one."""
    groups = [group(p, row) for p, row in enumerate(rewards)]
    for scale in ("group", "batch", "prompt"):
        whole = values(Credit(config(advantage_scale=scale)), *groups)
        rows = [(g.place, g.unit.id, {"total": [float(x) for x in g.reward_GK[:, 0]]}) for g in groups]
        tables = [rows[r::size] for r in range(size)]

        class Rank(OneProcess):
            def all_gather(self, value: Any) -> list[Any]:
                return tables  # noqa: B023

        for r in range(size):
            mine = [item.advantage for item in Credit(config(advantage_scale=scale))(groups[r::size], Rank())]
            assert mine == [x for p in range(r, len(groups), size) for x in whole[3 * p : 3 * p + 3]]


# --------------------------------------------------------------------------------------------------- statistics of prompts
@given(st.lists(st.lists(st.floats(-10, 10), min_size=2, max_size=5), min_size=1, max_size=6))
def test_statistics_of_a_prompt_are_those_of_all_its_rewards(batches: list[list[float]]) -> None:
    statistics, seen = PromptStatistics(), []
    for batch in batches:
        row = torch.tensor([batch], dtype=torch.float64)
        out = statistics.advantages("total", ["p"], row, 1e-3)
        seen += batch
        all_of_it = torch.tensor(seen, dtype=torch.float64)
        if float(all_of_it.std()) > 1e-6:
            expected = (row - all_of_it.mean()) / (all_of_it.std() + 1e-3)
            torch.testing.assert_close(out.advantage_PG, expected.float(), rtol=1e-4, atol=1e-4)


def test_prompts_are_apart_and_the_history_is_in_the_checkpoint() -> None:
    first = Credit(config(advantage_scale="prompt"))
    values(first, group(0, [0.0, 1.0], "a"), group(1, [5.0, 7.0], "b"))
    other = Credit(config(advantage_scale="prompt"))
    other.statistics.load_state_dict(first.statistics.state_dict())
    later = values(other, group(0, [0.5, 1.5], "a"))
    history = torch.tensor([0.0, 1.0, 0.5, 1.5])
    assert later == pytest.approx(((history[2:] - history.mean()) / history.std()).tolist(), rel=1e-5)


# ------------------------------------------------------------------------------------------------------------------ filter
@pytest.mark.parametrize(
    ("rewards", "kept"),
    [([0.2, 0.4], True), ([0.5, 0.55], False), ([0.85, 1.0], False), ([0.2, 0.4, NAN], True), ([NAN, NAN], False)],
)
def test_groups_without_spread_or_without_need_are_left_out(rewards: list[float], kept: bool) -> None:
    limits = GroupFilterConfig(min_std=0.05, max_mean=0.9)
    assert bool(passes(torch.tensor([rewards], dtype=torch.float64), limits)) == kept
    assert bool(passes(torch.tensor([rewards], dtype=torch.float64), GroupFilterConfig()))


def test_a_filtered_group_is_no_part_of_the_loss() -> None:
    filtered = config(filter=GroupFilterConfig(min_std=0.05))
    items = Credit(filtered)([group(0, [0.5, 0.52]), group(1, [0.2, 0.8])], OneProcess())
    assert [item.present for item in items] == [False, False, True, True]
    assert [item.advantage for item in items[:2]] == [0, 0] and [item.place for item in items] == [0, 0, 1, 1]


def test_advantages_are_added_up_by_weight() -> None:
    weights = {"a": 0.25, "b": -1.0}
    a = mixed_advantages(
        {"a": torch.tensor([[0.0, 2.0]]), "b": torch.tensor([[1.0, 3.0]])},
        weights,
        lambda n, r: group_advantages(r, "none"),
        9,
    )
    assert a.advantage_PG.tolist() == [[0.75, -0.75]]
