"""Known answers and properties of group advantages."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput
from rl.advantages import group_advantages

NAN = math.nan


def test_known_answer_with_unbiased_std() -> None:
    # mean 0.5; unbiased variance (0.25 + 0.25 + 0 + 0) / 3; std = sqrt(1/6)
    adv = group_advantages(torch.tensor([[1.0, 0.0, 0.5, 0.5]]))
    a = 0.5 / (math.sqrt(1 / 6) + 1e-6)
    assert torch.allclose(adv.advantage_PG, torch.tensor([[a, -a, 0.0, 0.0]]), atol=1e-6)


def test_dr_grpo_divides_by_nothing() -> None:
    adv = group_advantages(torch.tensor([[1.0, 0.0, 0.5, 0.5]]), scale="none")
    assert adv.advantage_PG.tolist() == [[0.5, -0.5, 0.0, 0.0]]


def test_missing_rewards_take_no_part() -> None:
    adv = group_advantages(torch.tensor([[1.0, NAN, 0.0, NAN], [NAN, NAN, NAN, 1.0], [NAN] * 4]))
    a = 0.5 / (math.sqrt(0.5) + 1e-6)
    assert torch.allclose(adv.advantage_PG[0], torch.tensor([a, 0.0, -a, 0.0]))
    assert adv.advantage_PG[1:].eq(0).all()  # one present reward has nothing to be compared with
    assert adv.present_PG.tolist() == [[True, False, True, False], [False, False, False, True], [False] * 4]
    assert adv.spread_P.tolist() == [True, False, False]


def test_equal_rewards_give_exactly_zero_whatever_the_rounding() -> None:
    adv = group_advantages(torch.tensor([[0.1 + 0.2, 0.3, 0.3]], dtype=torch.float64))
    assert adv.advantage_PG.eq(0).all() and not adv.spread_P[0]


@pytest.mark.parametrize("bad", [torch.zeros(3), torch.tensor([[math.inf, 0.0]])])
def test_bad_input(bad: torch.Tensor) -> None:
    with pytest.raises(BadInput):
        group_advantages(bad)


def test_the_batchs_spread_scales_all_groups_alike() -> None:
    reward = torch.tensor([[1.0, 0.0, NAN], [0.5, 0.25, 0.75]])
    centred = torch.tensor([[0.5, -0.5, 0.0], [0.0, -0.25, 0.25]])
    std = math.sqrt((0.25 + 0.25 + 0.0625 + 0.0625) / 4)  # five rewards are there
    assert torch.allclose(group_advantages(reward, "batch").advantage_PG, centred / (std + 1e-6))
    alone = group_advantages(reward[:1], "batch").advantage_PG
    assert torch.allclose(alone, group_advantages(reward[:1]).advantage_PG)  # one group: its own spread


def test_advantages_are_cut_at_the_clip() -> None:
    reward = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    free, cut = group_advantages(reward).advantage_PG, group_advantages(reward, clip=1.0).advantage_PG
    assert free[0, 0] > 2 and torch.equal(cut, free.clamp(-1, 1))
    with pytest.raises(BadInput, match="mean"):
        group_advantages(reward, scale="mean")


groups = st.lists(
    st.lists(st.one_of(st.none(), st.floats(0, 1, width=32)), min_size=5, max_size=5), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(groups, st.sampled_from(["group", "batch", "none"]), st.floats(-3, 3))
def test_properties(rows: list[list[float | None]], scale: str, shift: float) -> None:
    r = torch.tensor([[NAN if x is None else x for x in row] for row in rows], dtype=torch.float64)
    adv = group_advantages(r, scale)
    assert adv.advantage_PG.isfinite().all()
    assert adv.advantage_PG[~adv.present_PG].eq(0).all()
    assert torch.allclose(adv.advantage_PG.sum(1), torch.zeros(len(rows)), atol=1e-5)  # centred
    assert adv.advantage_PG[~adv.spread_P].eq(0).all()
    if adv.spread_P.all() and (r.nan_to_num(0).abs() > 1e-3).any():  # a constant added to all rewards changes nothing
        moved = group_advantages(r + shift, scale)
        assert torch.allclose(moved.advantage_PG, adv.advantage_PG, atol=1e-3)
