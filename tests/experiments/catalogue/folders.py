"""Folders that look like runs to the commands about runs: a few small files, no model."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CONFIG = {
    "name": "main",
    "seed": 0,
    "reward": {"_target_": "x.Y", "name": "f1_goal", "weights": {"action": 0.3}},
    "editor": {"_target_": "x.Y", "name": "qwen"},
    "algo": {"_target_": "x.Y", "name": "grpo", "lr": 1e-4, "steps": 20, "sft": {"steps": 5}},
    "scale": {"name": "tiny", "test_samples": 8},
    "decomposer": {"_target_": "x.Y", "name": "tiny", "checkpoint": "assets/tiny/decomposer"},
    "paths": {"outputs": "outputs"},
}


def add_run(folder: Path, overall: float | None = None, age: float = 0.0, **changed: Mapping[str, Any] | Any) -> Path:
    """A run's folder with config.yaml; with `overall` it is finished. `changed` replaces keys of CONFIG; of a part some of its
    keys. `age`: seconds since its files were written."""
    folder.mkdir(parents=True)
    config = {
        key: {**value, **changed[key]} if isinstance(value, dict) and key in changed else changed.get(key, value)
        for key, value in CONFIG.items()
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    if overall is not None:
        f1 = {"format": 1.0, "action": 0.9, "subject": 0.6, "goal": 0.3}
        results = {
            "decomposition": {"before": f1, "after": f1},
            "arms": {"agents_rl": {"sandbox": {"overall": overall}}},
        }
        (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    (folder / "metrics.jsonl").write_text(
        "".join(f'{{"step": {s}, "reward/mean": {_reward(s)}}}\n' for s in range(1, 21))
    )
    make_older(folder, age)
    return folder


def _reward(step: int) -> float:
    """Best at step 10."""
    return 1.0 - abs(step - 10) / 10


def add_checkpoints(
    folder: Path, steps: tuple[int, ...] = (10, 20), size: int = 1000, name: str = "checkpoints"
) -> None:
    for step in steps:
        place = folder / name / f"step-{step:08d}"
        place.mkdir(parents=True)
        (place / "state.pt").write_bytes(b"x" * size)


def make_older(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    for path in folder.rglob("*"):
        os.utime(path, (then, then))
