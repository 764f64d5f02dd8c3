"""The reward of an editor, from its configuration."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.sandbox.generate import SandboxBenchmark
from experiments.build.picture_rewards import missing_reward, picture_reward
from experiments.runs.cli import compose, typed
from judges.base import Verdict
from judges.remembering import RememberingJudge
from judges.sandbox import SandboxJudge
from rewards.pictures import judged

BENCH = SandboxBenchmark("test", 2)
SAMPLES = [BENCH.sample(i) for i in range(3)]
PICTURES = [s.target for s in SAMPLES]


def config(*words: str) -> Any:
    return typed(compose("run", ["experiment=edit_r1", *words]))


def no_model(folder: str) -> Any:
    raise AssertionError("no reward model is needed")


def test_change_is_a_component_as_the_others_are() -> None:
    alone = picture_reward(config("reward=change"), no_model)(SAMPLES, PICTURES, [0, 1, 2])
    mixed = picture_reward(config("reward=judge", "reward.weights.change=1"), no_model)(SAMPLES, PICTURES, [0, 1, 2])
    for one, both in zip(alone, mixed, strict=True):
        assert one.components == {"change": one.total} and one.total is not None
        assert both.components == {"judge": pytest.approx(1.0), "change": one.total}
        assert both.total == pytest.approx((1.0 + one.total) / 2)


def test_who_watches_and_the_exact_reward_judge_a_picture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    original = SandboxJudge.judge

    def counted(self: SandboxJudge, *args: Any) -> Verdict:
        calls.append(args)
        return original(self, *args)

    monkeypatch.setattr(SandboxJudge, "judge", counted)
    exact = RememberingJudge(SandboxJudge())
    rewards = picture_reward(config("reward=judge", "judge=sandbox"), no_model, exact)(SAMPLES, PICTURES, [0, 1, 2])
    assert [r.total for r in rewards] == judged(exact)(SAMPLES, PICTURES)
    assert len(calls) == len(SAMPLES)


def test_a_reward_model_that_is_not_chosen_is_named() -> None:
    (line,) = missing_reward(config("rrm=none"))
    assert "reward=rrm" in line and "rrm=tiny" in line
    assert not list(missing_reward(config("rrm=none", "reward=judge"))) and not list(missing_reward(config()))
