"""Weights and variants: hand-worked totals, missing values, refused weights."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.plan import write_decomposition
from benchmarks.base import Decomposition, Edit, EditSample
from common.errors import BadInput
from rewards.compose import COMPONENTS, VARIANTS, RewardSpec, score
from rewards.format import format_reward

GOLD = (Edit("recolor", "red star", "green"), Edit("remove", "blue moon"))
PERFECT = write_decomposition(Decomposition.of(GOLD))
# action 1, subject 1/2, goal 1; linked 1/2; soft (1 + (1 + 2/3) / 2 + 1) / 3 since "moon" and "blue moon" share 2/3
NEARLY = PERFECT.replace("blue moon", "moon")
ANSWERS = {
    "f1": 0.1 + 0.45 * 1.5,
    "f1_goal": 0.1 + 0.3 * 2.5,
    "f1_linked": 0.1 + 0.9 * 0.5,
    "f1_soft": 0.1 + 0.9 * (2 + 5 / 6) / 3,
    "exact": 0.1,
    "format_only": 1.0,
    "outcome": 0.1 + 0.9 * 0.4,
    "f1_goal_outcome": 0.1 + 0.15 * 2.5 + 0.45 * 0.4,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_by_hand(variant):
    spec = RewardSpec.named(variant)
    assert spec.score(NEARLY, GOLD, outcome=0.4).total == pytest.approx(ANSWERS[variant])
    assert spec.score(PERFECT, GOLD, outcome=1.0).total == 1.0
    assert spec.score("no", GOLD).total == 0.0  # computed, not missing


def test_every_component_is_there_whatever_the_weights():
    reward = score(RewardSpec.named("format_only"), NEARLY, GOLD)
    assert set(reward.components) == set(COMPONENTS) - {"outcome"}
    assert reward.components["linked"] == 0.5 and reward.components["exact"] == 0.0
    assert set(score(RewardSpec.named("outcome"), "no", GOLD).components.values()) == {0.0}


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_could_not_be_computed_is_missing_and_not_zero(value):
    assert RewardSpec.named("outcome").score(PERFECT, GOLD, outcome=value).total is None
    assert RewardSpec.named("f1_goal").score(PERFECT, GOLD, outcome=value).total == 1.0


@given(
    st.dictionaries(st.sampled_from(COMPONENTS), st.floats(0, 1e308), min_size=1), st.sampled_from([PERFECT, NEARLY])
)
def test_any_good_weights_give_a_total_in_range(weights, text):
    if not any(weights.values()):
        return
    spec = RewardSpec.from_weights(weights)
    assert sum(w for _, w in spec.weights) == pytest.approx(1.0)
    total = spec.score(text, GOLD, outcome=0.3).total
    assert total is not None and 0.0 <= total <= 1.0
    assert spec.score(PERFECT, GOLD, outcome=1.0).total == 1.0


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"acton": 1}, "'action'"),
        ({"gaol": 1}, "'goal'"),
        ({"format": -0.1, "action": 1}, "format=-0.1"),
        ({"format": math.nan}, "format=nan"),
        ({"format": math.inf}, "format=inf"),
        ({"format": "0.1"}, "not a number"),
        ({"format": True}, "not a number"),
        ({"format": 0, "action": 0.0}, "all reward weights are zero"),
        ({}, "all reward weights are zero"),
    ],
)
def test_bad_weights_are_named(weights, says):
    with pytest.raises(BadInput, match=says):
        RewardSpec.from_weights(weights)


def test_an_unknown_variant_names_the_nearest():
    with pytest.raises(BadInput, match="'f1_goal'"):
        RewardSpec.named("f1_gaol")


@given(st.text())
def test_any_text_has_a_reward(text):
    reward = RewardSpec.named("f1_goal").score(text, GOLD)
    assert reward.total is not None and 0.0 <= reward.total <= 1.0
    assert format_reward(text) == reward.components["format"]


def test_pictures_are_made_for_readable_texts_only():
    asked = []

    def outcome(samples, decompositions, seeds):
        asked.append(([s.id for s in samples], list(seeds)))
        return [None, 0.5]

    samples = [EditSample(str(k), "r", GOLD) for k in range(3)]
    spec = RewardSpec.named("outcome")
    rewards = spec.score_batch(samples, [PERFECT, "no", NEARLY], [7, 8, 9], outcome)
    assert asked == [(["0", "2"], [7, 9])]
    assert [r.total for r in rewards] == [None, 0.0, pytest.approx(0.1 + 0.45)]
    with pytest.raises(BadInput, match="editor and a judge"):
        spec.score_batch(samples, [PERFECT] * 3, [1, 2, 3])
    plain = RewardSpec.named("f1").score_batch(samples, [PERFECT] * 3, [1, 2, 3])
    assert [r.total for r in plain] == [1.0] * 3
