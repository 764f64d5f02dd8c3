"""Closed loops as rollouts: whose reward an answer gets, and that the update does not depend on how it is cut or interrupted."""

from __future__ import annotations

import math
import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image

from agents.backends.vlm import load_vlm
from benchmarks.base import EditSample
from common.jsonl import read_jsonl
from rl.advantages import group_advantages, returns_to_go
from rl.config import PromptPoolConfig
from tests.rl.loop_runs import LOOP_CONFIG, MAX_CALLS, TOOLS, run, run_whole, score
from tests.rl.runs import outcome, replace


def test_returns_add_up_what_is_still_to_come() -> None:
    nan = math.nan
    rewards = torch.tensor([[1.0, 2.0, 4.0], [1.0, nan, 4.0], [5.0, nan, nan], [nan, nan, nan]], dtype=torch.float64)
    wanted = torch.tensor([[7.0, 6.0, 4.0], [nan, nan, 4.0], [5.0, nan, nan], [nan, nan, nan]], dtype=torch.float64)
    torch.testing.assert_close(returns_to_go(rewards, [3, 3, 1, 0]), wanted, equal_nan=True)


@pytest.fixture(scope="module")
def trained(tiny_vlm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list, list[dict], list[dict]]:
    """An undisturbed run: its outcome, its rows and its metrics."""
    out = tmp_path_factory.mktemp("loop")
    whole = outcome(run(tiny_vlm_path, out), out)
    return whole, read_jsonl(out / "samples.jsonl"), read_jsonl(out / "metrics.jsonl")


def loops(rows: Sequence[dict]) -> dict[tuple, list[dict]]:
    """The rows of every loop, in the order of its turns."""
    out: dict[tuple, list[dict]] = {}
    for row in rows:
        out.setdefault((row["step"], row["j"], row["g"]), []).append(row)
    return out


def test_loops_are_bounded_and_their_rewards_add_up(trained) -> None:
    _, rows, metrics = trained
    lengths: Counter[int] = Counter()
    for (_, j, _), turns in loops(rows).items():
        assert [row["turn"] for row in turns] == list(range(len(turns)))
        parts = [row["components"] for row in turns]
        assert [p["final"] is None for p in parts] == [True] * (len(turns) - 1) + [False]
        first = (20 + 10 * (j % 4)) / 255
        stops = sum(p["stopped"] == 1 for p in parts)
        total = sum(row["reward"] for row in turns)
        assert total == pytest.approx(parts[-1]["final"] - first - 0.01 * (len(turns) - stops), abs=1e-9)
        assert parts[-1]["calls"] <= MAX_CALLS
        lengths[len(turns)] += 1
    assert len(loops(rows)) == 6 * 2 * 4 and len(lengths) > 2  # loops of several lengths were seen
    assert all("reward/final/mean" in m and "reward/calls/mean" in m for m in metrics)


def test_advantages_compare_the_returns_of_a_turn(trained) -> None:
    _, rows, _ = trained
    groups: dict[tuple, dict[int, list[dict]]] = {}
    for (step, j, g), turns in loops(rows).items():
        groups.setdefault((step, j), {})[g] = turns
    compared = 0
    for group in groups.values():
        for k in range(MAX_CALLS + 1):
            there = [turns for turns in group.values() if len(turns) > k]
            if not there:
                continue
            to_go = torch.tensor([[sum(row["reward"] for row in turns[k:]) for turns in there]])
            wanted = group_advantages(to_go).advantage_PG[0].tolist()
            assert [turns[k]["advantage"] for turns in there] == pytest.approx(wanted, abs=1e-5)
            compared += len(there) > 1
    assert compared > 20


def test_a_missing_verdict_has_no_gradient_where_it_is_needed(tiny_vlm_path: Path, tmp_path: Path) -> None:
    """The judge says nothing of bright pictures: answers whose return holds such a step get no advantage, the others do."""

    def forgetful(samples: Sequence[EditSample], pictures: Sequence[Image.Image]) -> list[float | None]:
        return [None if s is not None and s > 0.12 else s for s in score(samples, pictures)]

    config = replace(LOOP_CONFIG, steps=3, max_missing_steps=99)
    run(tiny_vlm_path, tmp_path, config, replace(TOOLS, score=forgetful))
    seen = Counter()
    for turns in loops(read_jsonl(tmp_path / "samples.jsonl")).values():
        for k, row in enumerate(turns):
            missing = any(later["reward"] is None for later in turns[k:])
            seen[missing] += 1
            if missing:
                assert row["advantage"] == 0
    assert seen[True] and seen[False]
    silent = run(tiny_vlm_path, tmp_path / "silent", config, replace(TOOLS, score=lambda s, p: [None] * len(p)))
    assert silent.metrics["update/skipped"] == 1.0 and silent.metrics["reward/missing"] == 1.0


@pytest.mark.parametrize("shared", [True, False])
def test_the_split_does_not_change_the_parameters(tiny_vlm_path: Path, tmp_path: Path, shared: bool) -> None:
    """1 x 8, 8 x 1 and a token budget, on the shared-prefix path and on the reference path."""
    base = replace(LOOP_CONFIG, steps=2, lr=5e-4, kl_coef=0.05)
    weights = []
    for k, cut in enumerate(({"micro_batch_size": 8}, {"micro_batch_size": 1}, {"micro_batch_tokens": 150})):
        config = replace(base, shared_prefix=shared, **cut)  # type: ignore[arg-type]
        weights.append(run_whole(tiny_vlm_path, tmp_path / str(k), config)[1])
    start = dict(load_vlm(tiny_vlm_path).model.named_parameters())
    assert max((start[n] - w).abs().max() for n, w in weights[0].items() if n in start) > 1e-4  # it did move
    for other in weights[1:]:
        assert max((weights[0][n] - w).abs().max() for n, w in other.items()) < 1e-5


def test_two_halves_are_the_whole_bit_for_bit(tiny_vlm_path: Path, tmp_path: Path, trained) -> None:
    run(tiny_vlm_path, tmp_path, replace(LOOP_CONFIG, steps=3))
    assert outcome(run(tiny_vlm_path, tmp_path), tmp_path) == trained[0]


def test_rollouts_ahead_resume_too(tiny_vlm_path: Path, tmp_path: Path) -> None:
    config = replace(LOOP_CONFIG, steps=4, max_offpolicy_steps=1)
    whole = outcome(run(tiny_vlm_path, tmp_path / "a", config), tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        stop = lambda m: os.kill(os.getpid(), signal.SIGINT) if m["step"] == 2 else None  # noqa: E731
        run(tiny_vlm_path, tmp_path / "b", config, log=stop)
    assert outcome(run(tiny_vlm_path, tmp_path / "b", config), tmp_path / "b") == whole


def test_it_learns_what_a_picture_gains(tiny_vlm_path: Path, tmp_path: Path) -> None:
    config = replace(
        LOOP_CONFIG, steps=14, group_size=8, micro_batch_size=64, lr=1e-2, kl_coef=0.0, checkpoint_every=99
    )
    run(tiny_vlm_path, tmp_path, config)
    final = [row["reward/final/mean"] for row in read_jsonl(tmp_path / "metrics.jsonl")]
    assert sum(final[-3:]) > sum(final[:3]) + 0.2


def test_prompts_are_chosen_by_what_came_of_their_loops(tiny_vlm_path: Path, tmp_path: Path) -> None:
    """The pass rate of a prompt is that of its loops' last pictures, and the pool resumes with the rest."""
    pool = PromptPoolConfig(size=4, highest=0.9, passed=0.2, uses=3)
    config = replace(LOOP_CONFIG, steps=4, pool=pool)
    whole = outcome(run(tiny_vlm_path, tmp_path / "a", config), tmp_path / "a")
    run(tiny_vlm_path, tmp_path / "b", replace(config, steps=2))
    assert outcome(run(tiny_vlm_path, tmp_path / "b", config), tmp_path / "b") == whole
    seen = read_jsonl(tmp_path / "a" / "metrics.jsonl")
    assert seen[0]["prompts/kept"] >= 1 and any(row["prompts/drawn_again"] > 0 for row in seen[1:])
