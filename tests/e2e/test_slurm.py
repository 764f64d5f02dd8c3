"""Sweeps on a real SLURM: two nodes that this test starts on this machine, where slurm-wlm and munge are installed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.files import read_json, write_text
from common.jsonl import read_jsonl
from tests.e2e.slurm_cluster import cluster, lacking
from tests.e2e.test_sweep import LIMIT_S, ROOT, STAGES, wait_for
from tests.e2e.test_torchrun import sharded

pytest.importorskip("submitit", reason="needs `make extra-slurm`")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(lacking()), reason=f"SLURM is not installed here: no {', '.join(lacking())}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="SLURM's daemons are started as root"),
]


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment | {"OMP_NUM_THREADS": "1"}


def run(arguments: list[str], folder: Path, env: dict[str, str]) -> str:
    path = os.pathsep.join([str(ROOT), str(folder)])
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=env | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    logs = "\n".join(p.read_text(errors="replace") for p in folder.rglob("*_log.err"))
    assert ended.returncode == 0, ended.stdout + ended.stderr + logs
    return ended.stdout


def test_a_sweep_is_sent_job_by_job_and_comes_back_with_its_runs(env: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("deepspeed", reason="needs `make extra-deepspeed`, the engine of launcher=slurm")
    write_text(tmp_path / "two_stages.py", textwrap.dedent(STAGES))
    words = [
        "-m",
        "launcher=slurm",
        "engine=deepspeed",
        "launcher.processes=1",
        "hydra.launcher.gpus_per_node=null",
        "seed=1,2",
    ]
    words += ["hydra.launcher.cpus_per_task=1", "hydra.launcher.partition=test", "paths.outputs=outputs"]
    said = run(
        ["-m", "experiments.run", *words, "job=[two_stages.Count,two_stages.Result]"], tmp_path, env
    )  # fmt: skip
    assert "2 finished runs" in said
    runs = sorted(tmp_path.glob("outputs/main-*/results.json"))
    assert sorted(read_json(p)["value"] for p in runs) == [1, 2]
    assert all(read_json(p.parent / "status.json")["state"] == "finished" for p in runs)


def test_a_run_trains_on_two_nodes(env: dict[str, str], tmp_path: Path, tiny_vlm_path: Path) -> None:
    """One worker on each node: the launcher tells both where they meet, and the run ends with the other node gone, too."""
    pytest.importorskip("deepspeed", reason="needs `make extra-deepspeed`, the engine of launcher=slurm")
    words = sharded(
        tiny_vlm_path, "launcher=slurm", "launcher.processes=1", "launcher.nodes=2", "stages=[grpo]", "algo.steps=2"
    )
    words += ["hydra.launcher.gpus_per_node=null", "hydra.launcher.cpus_per_task=1", "hydra.launcher.partition=test"]
    run(["-m", "experiments.run", "-m", *words, "paths.outputs=outputs"], tmp_path, env)
    (folder,) = (p.parent for p in tmp_path.glob("outputs/main-*/config.yaml"))
    assert [row["step"] for row in read_jsonl(folder / "metrics.jsonl")] == [1, 2]
    assert (folder / "decomposer" / "model.safetensors").is_file()
    assert (folder / "workers-1.log").is_file() and len(
        list(tmp_path.glob("outputs/sweeps/*/nodes/*/training-1.json"))
    ) == 1
    squeue = ["squeue", "-h"]  # node 1 leaves by itself
    wait_for(lambda: not subprocess.run(squeue, env=env, capture_output=True, text=True, check=True).stdout.strip())
