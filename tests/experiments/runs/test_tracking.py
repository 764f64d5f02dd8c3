"""What Weights & Biases gets of a run: its settings, and never a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.runs.cli import compose, typed
from experiments.runs.identity import config_text, identity
from experiments.runs.tracking import make_tracker
from experiments.runs.wandb_run import WandB

pytest.importorskip("wandb")
KEYS = {"OPENAI_API_KEY": "sk-openai-0123456789abcdef", "GEMINI_API_KEY": "AIza-gemini-0123456789abcdef"}


def test_no_key_is_in_any_file_of_a_run_that_is_tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere" / name))
    words = ["tracker=wandb", "tracker.mode=offline", "judge=gpt4o", "editor=nano_banana", f"paths.outputs={tmp_path}"]
    config = typed(compose("run", words))
    folder = tmp_path / "main-0a1b2c3d"
    folder.mkdir()
    (folder / "config.yaml").write_text(config_text(config))
    tracker = make_tracker(config.tracker, folder, identity(config))
    assert isinstance(tracker, WandB)
    try:
        tracker.log({"step": 1, "reward": 0.5})
        print(f"asked {config.judge.model}")  # W&B may record what is printed
        tracker.summary({"overall": 7.0})
    finally:
        tracker.finish()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = [path.read_bytes() for path in files]
    assert any(path.suffix == ".wandb" for path in files)  # it did record ...
    assert any(b"gpt-4o-2024-11-20" in data and b"OPENAI_API_KEY" in data for data in written)  # ... and by name alone
    for path, data in zip(files, written, strict=True):
        assert not any(key.encode() in data for key in KEYS.values()), path
