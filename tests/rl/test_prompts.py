"""Prompts are chosen by their pass rate: a function of the seed and of what was observed, exact through checkpoints."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput
from common.jsonl import read_jsonl
from experiments.preflight.limits import largest_group
from rl.config import PromptPoolConfig
from rl.prompts import Prompts
from tests.rl.runs import CONFIG, Scored, outcome, run

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
    prompts.chosen[1], prompts.again[1] = [0], 1
    prompts.observe(1, {0: [1.0, 1.0, 1.0, 0.0]})
    assert (prompts.known[0].rate, prompts.known[0].uses) == (0.75, 2)
    prompts.chosen[2], prompts.again[2] = [0], 1
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


def test_only_prompts_that_come_again_get_another_group_size() -> None:
    prompts = Prompts(replace(POOL, group_size=9), P, 2 * P, 0)
    for step in range(12):
        prompts.choose(step)
        drawn = [prompts.index(step, j) for j in range(P)]
        before = set(prompts.known)
        assert [prompts.completions(step, j, 4) for j in range(2 * P)] == [9 if i in before else 4 for i in drawn] + [
            4
        ] * P
        prompts.observe(step, rewards_of(drawn))
    assert any(prompts.known)
    assert Prompts(POOL, P, P, 0).completions(0, 0, 4) == 4


def test_a_group_of_one_has_no_advantage() -> None:
    with pytest.raises(BadInput, match=r"pool\.group_size=1"):
        PromptPoolConfig(group_size=1)


def test_larger_groups_are_drawn_and_trained_on(tiny_vlm_path: Path, tmp_path: Path) -> None:
    """The first step has the rollouts of a run without larger groups; prompts that come again have 6 rollouts, the others 4."""
    pool = PromptPoolConfig(size=8, passed=0.5, highest=1.0, group_size=6)
    run(tiny_vlm_path, tmp_path / "a", replace(CONFIG, pool=pool))
    run(tiny_vlm_path, tmp_path / "b", replace(CONFIG, steps=1))
    rows, usual = (read_jsonl(tmp_path / name / "samples.jsonl") for name in "ab")
    assert [r["text"] for r in rows if r["step"] == 1] == [r["text"] for r in usual]
    seen: set[str] = set()
    for step in range(1, CONFIG.steps + 1):
        sizes = Counter(r["sample"] for r in rows if r["step"] == step)
        assert all(n == (6 if sample in seen else 4) for sample, n in sizes.items())
        seen |= set(sizes)
    again = [r for r in rows if r["g"] >= 4]
    assert again and any(r["advantage"] != 0 for r in again)


def test_a_component_of_the_reward_may_decide_what_is_drawn_again(tiny_vlm_path: Path, tmp_path: Path) -> None:
    """The reward alone passes nothing here, one of its components passes all: no prompt comes again."""
    pool = PromptPoolConfig(size=8, passed=0.5, highest=0.5, component="always")
    run(tiny_vlm_path, tmp_path / "a", replace(CONFIG, pool=pool, steps=2), with_always)
    assert all(
        r["prompts/drawn_again"] == 0 and r["prompts/kept"] == 0 for r in read_jsonl(tmp_path / "a" / "metrics.jsonl")
    )
    with pytest.raises(BadInput, match=r"algo\.pool\.component=subject is no component.*always"):
        run(tiny_vlm_path, tmp_path / "b", replace(CONFIG, pool=replace(pool, component="subject")), with_always)


def with_always(samples: Any, texts: Sequence[str], seeds: Any) -> list[Scored]:
    return [Scored(0.0 if len(text) % 2 else 0.1, {"always": 1.0}) for text in texts]


@pytest.mark.parametrize(("lag", "size"), [(0, 0), (1, 0), (0, 6)])
def test_a_training_with_a_pool_resumes_bit_for_bit(tiny_vlm_path: Path, tmp_path: Path, lag: int, size: int) -> None:
    pool = PromptPoolConfig(size=8, passed=0.5, highest=1.0, group_size=size)
    config = replace(CONFIG, pool=pool, max_offpolicy_steps=lag)
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


def test_the_largest_group_is_known_of_any_algorithm() -> None:
    """Memory and time are estimated for algorithms of one's own too, which may have one size of groups alone, or none."""
    assert largest_group(replace(CONFIG, pool=PromptPoolConfig(size=8, group_size=6))) == 6
    assert largest_group(replace(CONFIG, pool=PromptPoolConfig(group_size=6))) == CONFIG.group_size  # the pool is off
    assert largest_group(SimpleNamespace(group_size=5)) == 5 and largest_group(SimpleNamespace()) == 0
