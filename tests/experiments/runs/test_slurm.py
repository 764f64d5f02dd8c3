"""What would be sent to SLURM, by the real command, Hydra and submitit; only the sending itself is left out."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from experiments.runs.cli import command

pytestmark = pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs `make extra-slurm`")


def test_a_job_has_its_nodes_and_a_gpu_per_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import submitit

    sent: list[tuple[Any, tuple]] = []
    monkeypatch.setattr(submitit.AutoExecutor, "map_array", lambda self, *a: sent.append((self, a)) or [])
    srun = tmp_path / "srun"  # submitit refuses to start where SLURM is not installed
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    words = ["-m", "launcher=slurm", "hydra.launcher.partition=long", f"paths.outputs={tmp_path}"]
    words += ["engine=deepspeed", "engine.stage=3", "launcher.processes=4", "launcher.nodes=2", "seed=1,2"]
    monkeypatch.setattr("sys.argv", ["experiments.run", *words])

    command("run", lambda config: pytest.fail("nothing runs here"))

    ((executor, (_, overrides, *_)),) = sent
    text = executor._executor._make_submission_file_text("run it", "id")
    for line in ("nodes=2", "ntasks-per-node=1", "gpus-per-node=4", "partition=long", "time=1440"):
        assert f"#SBATCH --{line}\n" in text, text
    assert executor._executor.max_num_timeout == 20
    jobs = [set(job) for job in overrides]
    assert [job & {"seed=1", "seed=2"} for job in jobs] == [{"seed=1"}, {"seed=2"}]
    assert all({"launcher.processes=4", "engine.stage=3"} <= job for job in jobs)


def test_a_single_run_is_refused_before_it_would_run_here(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["experiments.run", "launcher=slurm", "engine=deepspeed"])
    with pytest.raises(SystemExit) as stop:
        command("run", lambda config: pytest.fail("nothing runs here"))
    assert stop.value.code == 2 and "add -m" in capsys.readouterr().err
