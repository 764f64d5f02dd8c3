"""docs/tracking.md names every metric that a training of any kind logs, and trackers give each one a group."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from agents.backends.vlm import load_vlm
from common.jsonl import read_jsonl
from experiments.runs.metric_names import grouped, tracked
from rl.config import SFTConfig
from rl.sft import train_sft
from tests.rl import flow_runs, runs, session_runs, test_gcpo, test_sft

DOC = Path(__file__).parents[3] / "docs" / "tracking.md"


@cache
def named() -> list[re.Pattern[str]]:
    """What the first column of the table has; `<...>` stands for anything."""
    cells = [line.split("|")[1] for line in DOC.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert len(names) > 40
    return [re.compile(re.sub(r"<\w+>", r"[a-zA-Z0-9_./]+", re.sub(r"([.+])", r"\\\1", name))) for name in names]


def grpo(path: Path, out: Path) -> Path:
    config = replace(runs.CONFIG, steps=2, checkpoint_every=2, max_missing_steps=3, kl_coef=0.01)
    runs.run(path, out, config)
    return out / "metrics.jsonl"


def sft(path: Path, out: Path) -> Path:
    config = SFTConfig(steps=2, batch_size=4, micro_batch_size=4, lr=1e-3, warmup_steps=1)
    train_sft(config, load_vlm(path), test_sft.examples, out)
    return out / "sft.jsonl"


def gcpo(path: Path, out: Path) -> Path:
    test_gcpo.trained(path, out, replace(test_gcpo.CONFIG, steps=2))
    return out / "gcpo.jsonl"


def flow(path: Path, out: Path) -> Path:
    flow_runs.training(replace(flow_runs.CONFIG, steps=2), load=flow_runs.load_kontext).run(out)
    return out / "metrics.jsonl"


def nft(path: Path, out: Path) -> Path:
    flow_runs.training(replace(flow_runs.NFT_CONFIG, steps=2)).run(out)
    return out / "metrics.jsonl"


def sessions(path: Path, out: Path) -> Path:
    session_runs.training(path, session_runs.config(steps=2)).run(out)
    return out / "metrics.jsonl"


TEXT = {"perf/tokens_per_s/train", "perf/flops_per_s"}
KINDS: dict[Callable[[Path, Path], Path], set[str]] = {
    grpo: {"tokens_per_s/rollout", "time/train", "groups/no_spread", *TEXT},
    sft: {"tokens_per_s", "time/train", "sft/examples_per_s", *TEXT},
    gcpo: {"tokens_per_s/rollout", "time/rollout", "groups/no_spread", *TEXT},
    flow: {"images_per_s/rollout", "perf/images_per_s/train", "perf/flops_per_s", "groups/no_spread"},
    nft: {"images_per_s/rollout", "perf/images_per_s/train", "groups/no_spread"},
    sessions: {"turns_per_s", "images_per_s", "tokens_per_s", "perf/images_per_s/train", "groups/no_spread", *TEXT},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_of_a_training_is_in_the_table(
    kind: Callable[[Path, Path], Path], tiny_vlm_path: Path, tmp_path: Path
) -> None:
    logged = {name for row in read_jsonl(kind(tiny_vlm_path, tmp_path)) for name in row}
    assert sorted(name for name in logged if not any(p.fullmatch(name) for p in named())) == []
    assert KINDS[kind] | {"time/step", "memory/rss"} <= logged
    assert "perf/mfu" not in logged  # no peak of a CPU is known
    assert all("/" in name for name in map(grouped, logged - {"step"}))


def test_names_of_trackers() -> None:
    row = {
        "step": 1,
        "lr": 0.1,
        "trained/ratio/max": 1.0,
        "tokens_per_s/rollout": 5.0,
        "time/step": 2.0,
        "reward/mean": 0.5,
    }
    assert set(tracked(row)) == {
        "step", "train/lr", "train/ratio/max", "perf/tokens_per_s/rollout", "time/step", "reward/mean"}  # fmt: skip
    assert set(tracked({"step": 1, "sft/loss": 2.0, "time/train": 1.0}, "rrm-sft")) == {
        "rrm-sft/step", "rrm-sft/loss", "rrm-sft/time/train"}  # fmt: skip
    assert len(set(map(grouped, row))) == len(row)  # no two become one
