"""Shards as an array of cluster jobs: what would be sent, by the real command, Hydra and submitit."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from experiments.evaluate import FREE_TEXT
from experiments.runs.cli import command

pytestmark = pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs `make extra-slurm`")


def test_every_shard_is_a_job_that_needs_nothing_of_this_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import submitit

    sent: list[tuple[Any, tuple]] = []
    monkeypatch.setattr(submitit.AutoExecutor, "map_array", lambda self, *a: sent.append((self, a)) or [])
    srun = tmp_path / "srun"  # submitit refuses to start where SLURM is not installed
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    words = [
        "-m",
        "launcher=slurm",
        "launcher.processes=1",
        "hydra.launcher.partition=long",
        "shard=0,1,2,3",
        "shards=4",
    ]
    words += [
        "run=none",
        "benchmark=sandbox",
        f"out={tmp_path / 'out'}",
        "arms=[editor,agents]",
        f"paths.outputs={tmp_path}",
    ]
    monkeypatch.setattr("sys.argv", ["experiments.evaluate", *words])

    command("evaluate", lambda config: pytest.fail("nothing runs here"), FREE_TEXT)

    ((executor, (_, overrides, *_)),) = sent
    text = executor._executor._make_submission_file_text("run it", "id")
    for line in ("nodes=1", "ntasks-per-node=1", "gpus-per-node=1", "partition=long"):
        assert f"#SBATCH --{line}\n" in text, text
    jobs = [set(job) for job in overrides]
    assert [next(w for w in job if w.startswith("shard=")) for job in jobs] == [f"shard={i}" for i in range(4)]
    assert all({"shards=4", "run=none", "arms=[editor,agents]", f"out={tmp_path / 'out'}"} <= job for job in jobs)
