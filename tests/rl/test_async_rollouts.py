"""Rollouts ahead of training: the same batches whatever runs faster, the promised age of weights, and exact resumption."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from common.errors import BadInput, RunFailed
from common.jsonl import read_jsonl
from rl.config import GRPOConfig
from rl.engine.torch import TorchEngine
from rl.policies.text import TextPolicy
from tests.rl.runs import CONFIG, letters, outcome, run, train


def lagging(steps: int, **changes: Any) -> GRPOConfig:
    return replace(CONFIG, max_offpolicy_steps=steps, **changes)


class Slow:
    """A backend that takes its time."""

    def __init__(self, backend: HFBackend) -> None:
        self.backend, self.sync = backend, backend.sync

    def generate(self, *args: Any) -> Any:
        time.sleep(0.3)
        return self.backend.generate(*args)


@pytest.fixture(scope="module")
def whole(tiny_vlm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list]:
    result = {}
    for lag in (1, 2):
        out = tmp_path_factory.mktemp(f"lag{lag}")
        result[lag] = outcome(run(tiny_vlm_path, out, lagging(lag)), out)
    return result


@pytest.mark.parametrize("lag", [1, 2])
def test_weights_are_as_old_as_the_bound_and_no_older(whole: dict[int, list], lag: int) -> None:
    rows = whole[lag][1]
    assert [r["rollout/steps_old"] for r in rows] == [min(step, lag) for step in range(CONFIG.steps)]
    assert (
        rows[0]["trained/mismatch/max"] < 1e-4 < rows[-1]["trained/mismatch/max"]
    )  # the first batch is of the weights it trains
    assert rows[-1]["trained/tis_ratio/max"] > 1.001


@pytest.mark.parametrize("lag", [1, 2])
def test_whichever_side_is_faster_the_batches_are_the_same(
    tiny_vlm_path: Path, tmp_path: Path, whole: dict[int, list], lag: int
) -> None:
    slow = outcome(run(tiny_vlm_path, tmp_path, lagging(lag), wrap=Slow), tmp_path)
    assert slow == whole[lag]


@pytest.mark.parametrize("lag", [1, 2])
def test_two_halves_are_the_whole(tiny_vlm_path: Path, tmp_path: Path, whole: dict[int, list], lag: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny_vlm_path, tmp_path, lagging(lag), progress=_stop_after(3))
    assert read_jsonl(tmp_path / "metrics.jsonl")[-1]["step"] == 3
    assert outcome(run(tiny_vlm_path, tmp_path, lagging(lag)), tmp_path) == whole[lag]


def _stop_after(step: int) -> Any:
    import os
    import signal

    return lambda done, *_: os.kill(os.getpid(), signal.SIGTERM) if done == step else None


def test_zero_is_the_synchronous_loop(tiny_vlm_path: Path, tmp_path: Path) -> None:
    once = outcome(run(tiny_vlm_path, tmp_path / "a", CONFIG), tmp_path / "a")
    zero = outcome(run(tiny_vlm_path, tmp_path / "b", lagging(0)), tmp_path / "b")
    assert once == zero and all(r["rollout/steps_old"] == 0 for r in once[1])


def test_what_fails_in_the_other_thread_fails_here(tiny_vlm_path: Path, tmp_path: Path) -> None:
    def broken(samples: Any, texts: Any, seeds: Any) -> Any:
        if samples[0].id.startswith("2-"):
            raise RunFailed("the judge is gone")
        return letters(samples, texts, seeds)

    with pytest.raises(RunFailed, match="judge is gone"):
        run(tiny_vlm_path, tmp_path, lagging(1), reward=broken)
    assert len(read_jsonl(tmp_path / "metrics.jsonl")) == 2


def test_dynamic_sampling_is_replayed_too(tiny_vlm_path: Path, tmp_path: Path) -> None:
    config = lagging(1, dynamic_sampling=True, max_tries=3)
    once = outcome(run(tiny_vlm_path, tmp_path / "a", config), tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run(tiny_vlm_path, tmp_path / "b", config, progress=_stop_after(2))
    assert outcome(run(tiny_vlm_path, tmp_path / "b", config), tmp_path / "b") == once


def test_it_needs_the_correction_and_a_model_of_its_own(tiny_vlm_path: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tis_cap"):
        lagging(1, tis_cap=None)
    vlm = load_vlm(tiny_vlm_path)
    config = lagging(1)
    engine = TorchEngine(TextPolicy(vlm, 1.0), config, config.schedule())
    with pytest.raises(BadInput, match="model of their own"):
        train(config, engine, HFBackend(vlm), tmp_path)
