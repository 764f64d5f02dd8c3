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
from tests.e2e.slurm_cluster import cluster, lacking
from tests.e2e.test_sweep import LIMIT_S, ROOT, STAGES

pytest.importorskip("submitit", reason="needs `make extra-slurm`")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(lacking()), reason=f"SLURM is not installed here: no {', '.join(lacking())}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="SLURM's daemons are started as root"),
]

# Started on both nodes by submitit: torchrun meets its other half, and every rank adds its number.
MEETING = """
    import sys
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    total = torch.tensor([dist.get_rank() + 1.0])
    dist.all_reduce(total)
    if dist.get_rank() == 0:
        open(sys.argv[1], "w").write(f"{dist.get_world_size()} ranks, sum {total.item():.0f}")
    dist.destroy_process_group()
"""
START = """
    import os, socket, subprocess, sys
    import submitit

    def node(script, port, out):
        where = submitit.JobEnvironment()
        torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={where.num_nodes}", "--nproc-per-node=1"]
        torchrun += [f"--node-rank={where.node}", "--master-addr=127.0.0.1", f"--master-port={port}", script, out]
        return subprocess.run(torchrun, check=True).returncode

    script, out, port, logs = sys.argv[1:]
    executor = submitit.AutoExecutor(folder=logs, cluster="slurm")
    executor.update_parameters(nodes=2, tasks_per_node=1, cpus_per_task=1, timeout_min=15)
    print(executor.submit(node, script, port, out).results())
"""


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


def test_torchrun_meets_across_two_nodes(env: dict[str, str], tmp_path: Path) -> None:
    write_text(tmp_path / "meeting.py", textwrap.dedent(MEETING))
    write_text(tmp_path / "start.py", textwrap.dedent(START))
    from tests.e2e.slurm_cluster import free_ports

    (port,) = free_ports(1)
    out = tmp_path / "sum.txt"
    run(["start.py", str(tmp_path / "meeting.py"), str(out), str(port), str(tmp_path / "logs")], tmp_path, env)
    assert out.read_text() == "2 ranks, sum 3"
