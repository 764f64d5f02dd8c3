"""A real training of the tiny editor by a reward that can be gamed: it is, and the watch ends the training."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.jsonl import read_jsonl
from tests.e2e.processes import command

WORDS = [
    "experiment=edit_r1", "reward=change", "rrm=none", "stages=[editor_rl]", "engine.device=cpu", "seed=1", "algo.steps=40",
    "algo.prompts_per_step=4", "algo.group_size=8", "algo.lr=5e-4", "algo.warmup_steps=0", "algo.watch.window=2",
    "algo.watch.pictures=32", "algo.watch.reward_rise=0.2", "algo.watch.score_fall=0.1",
]  # fmt: skip


@pytest.mark.slow
def test_a_training_that_only_changes_pictures_ends_early(tmp_path: Path) -> None:
    assets = f"paths.assets={Path('assets').absolute()}"
    ended = command("experiments.run", [*WORDS, assets], tmp_path)
    assert ended.code == 0, ended.text
    assert "the pictures please the reward alone" in ended.text and "training ends after step" in ended.text
    (run,) = (tmp_path / "outputs").glob("edit_r1-*")
    rows = read_jsonl(run / "metrics.jsonl")
    first, last = (
        {key: sum(r[f"watch/{key}/mean"] for r in part) / 2 for key in ("reward", "score")}
        for part in (rows[:2], rows[-2:])
    )
    assert 4 <= len(rows) <= 20
    assert last["reward"] > first["reward"] + 0.2 and last["score"] < first["score"] - 0.1
    assert rows[-1]["watch/unchanged/mean"] < 0.2  # little is left of the given pictures
    assert rows[-1]["watch/stopped"] == 1 and (run / "editor" / "transformer").is_dir()
