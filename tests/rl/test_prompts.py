"""Prompts are chosen by their pass rate: a function of the seed and of what was observed, exact through checkpoints."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput
from rl.config import PromptPoolConfig
from rl.prompts import Prompts
from tests.rl.runs import CONFIG, outcome, run

POOL = PromptPoolConfig(size=6, new_share=0.5, lowest=0.1, highest=0.8, passed=0.9, uses=3)
P = 4  # prompts of a step


def rate(index: int) -> float:
    """The true pass rate of a prompt in these tests: 0, 1/4, 1/2, 3/4 or 1."""
    return index % 5 / 4


def rewards_of(indices: list[int]) -> dict[int, list[float | None]]:
    """Four answers at every place, of which the prompt's share has the reward 1."""
    return {place: [float(g < 4 * rate(index)) for g in range(4)] for place, index in enumerate(indices)}


def play(prompts: Prompts, steps: range) -> list[list[int]]:
    drawn = []
    for step in steps:
        prompts.choose(step)
        drawn.append([prompts.index(step, place) for place in range(P)])
        prompts.observe(step, rewards_of(drawn[-1]))
    return drawn


def test_without_a_pool_every_place_has_a_sample_of_its_own() -> None:
    prompts = Prompts(PromptPoolConfig(), P, 2 * P, 0)
    assert [prompts.index(3, j) for j in (0, 7)] == [24, 31]
    assert prompts.observe(3, {0: [1.0]}) == {}


def test_only_prompts_between_the_bounds_come_again() -> None:
    drawn = play(Prompts(POOL, P, P, 0), range(40))
    assert drawn[0] == [0, 1, 2, 3]
    counts: dict[int, int] = {}
    for step in drawn:
        assert len(set(step)) == P
        for index in step:
            counts[index] = counts.get(index, 0) + 1
    assert max(counts.values()) == POOL.uses
    again = {index for index, n in counts.items() if n > 1}
    assert again and all(0.1 <= rate(index) <= 0.8 for index in again)


def test_at_least_the_share_of_new_prompts_is_new() -> None:
    seen: set[int] = set()
    for step in play(Prompts(POOL, P, P, 0), range(40)):
        assert len(set(step) - seen) >= P // 2
        seen |= set(step)


@given(st.integers(0, 30), st.integers(0, 2**31))
def test_a_checkpoint_anywhere_changes_nothing(stop: int, seed: int) -> None:
    whole = play(Prompts(POOL, P, P, seed), range(30))
    first = Prompts(POOL, P, P, seed)
    drawn = play(first, range(stop))
    second = Prompts(POOL, P, P, seed)
    second.load_state_dict(first.state_dict())
    assert drawn + play(second, range(stop, 30)) == whole


def test_a_rate_is_measured_anew_each_time() -> None:
    prompts = Prompts(POOL, 1, 1, 0)
    prompts.choose(0)
    prompts.observe(0, {0: [1.0, 0.0, 0.0, 0.0]})
    assert prompts.known[0].rate == 0.25
    prompts.chosen[1] = [0]
    prompts.observe(1, {0: [1.0, 1.0, 1.0, 0.0]})
    assert (prompts.known[0].rate, prompts.known[0].uses) == (0.75, 2)
    prompts.chosen[2] = [0]
    prompts.observe(2, {0: [1.0, 1.0, 1.0, 1.0]})
    assert not prompts.known  # solved: it leaves


def test_a_missing_reward_says_nothing_about_a_prompt() -> None:
    prompts = Prompts(POOL, 2, 2, 0)
    prompts.choose(0)
    prompts.observe(0, {0: [None, None], 1: [None, 1.0, 0.0]})
    assert set(prompts.known) == {1} and prompts.known[1].rate == 0.5


def test_steps_that_are_drawn_ahead_share_no_prompt() -> None:
    prompts, rng = Prompts(POOL, P, P, 0), Random(0)
    play(prompts, range(10))
    for step in (10, 11, 12):
        prompts.choose(step)
    drawn = [prompts.index(step, j) for step in (10, 11, 12) for j in range(P)]
    assert len(set(drawn)) == len(drawn)
    prompts.observe(10, {j: [rng.random()] for j in range(P)})


def test_the_pool_never_outgrows_its_size() -> None:
    prompts = Prompts(replace(POOL, size=3, uses=100), P, P, 0)
    play(prompts, range(30))
    assert len(prompts.known) <= 3


def test_bounds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(BadInput, match=r"pool\.lowest"):
        PromptPoolConfig(lowest=0.9, highest=0.1)


@pytest.mark.parametrize("lag", [0, 1])
def test_a_training_with_a_pool_resumes_bit_for_bit(tiny_vlm_path: Path, tmp_path: Path, lag: int) -> None:
    config = replace(CONFIG, pool=PromptPoolConfig(size=8, passed=0.5, highest=1.0), max_offpolicy_steps=lag)
    whole = outcome(run(tiny_vlm_path, tmp_path / "a", config), tmp_path / "a")
    assert any(row["prompts/drawn_again"] > 0 for row in whole[1])

    def stop(done: int, *_: object) -> None:
        import os
        import signal

        if done == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        run(tiny_vlm_path, tmp_path / "b", config, progress=stop)
    assert outcome(run(tiny_vlm_path, tmp_path / "b", config), tmp_path / "b") == whole
