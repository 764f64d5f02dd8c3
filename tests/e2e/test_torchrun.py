"""Training in several processes, started by the main command: the same run, whoever is killed on the way."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.jsonl import read_jsonl
from experiments.runs.identity import load_config
from experiments.runs.launch import FIRST, LOG, RESOLVED, torchrun
from rl.engine.process_group import free_port
from tests.e2e.test_run import arguments, outcome, the_run
from tests.tiny_models import build_tiny_vlm

ROOT = Path(__file__).parents[2]
LIMIT_S = 900.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="needs `make extra-deepspeed`"),
]


def small(model: Path, *more: str) -> list[str]:
    """The KL term gives every completion a gradient, malformed as it is; other phases than GRPO are as short as they can be."""
    words = ["algo.kl_coef=0.05", "engine=deepspeed", "engine.device=cpu", "editor=sandbox", "scale.test_samples=2"]
    return arguments(model, *words, *more)


def sharded(model: Path, *more: str) -> list[str]:
    return small(model, "engine.stage=3", "launcher=torchrun", "launcher.processes=2", *more)


def start(words: list[str], folder: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (folder / "output.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.run", *words], cwd=folder, env=environment, stdout=log, stderr=log
        )


def finish(words: list[str], folder: Path) -> str:
    process = start(words, folder)
    assert process.wait(LIMIT_S) == 0, said(folder)
    return said(folder)


def said(folder: Path) -> str:
    logs = [folder / "output.log", *folder.glob(f"outputs/*/{LOG}")]
    return "\n".join(p.read_text(errors="replace")[-3000:] for p in logs if p.exists())


def wait_for(found: Callable[[], Any], folder: Path) -> Any:
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError(said(folder))


def first_worker(folder: Path) -> int | None:
    """Its process id, once the training has done a step."""
    for path in folder.glob(f"outputs/*/{FIRST}"):
        rows = path.with_name("metrics.jsonl")
        if rows.exists() and rows.read_text().count("\n") >= 1 and (text := path.read_text()):
            return int(text)
    return None


def other_worker(first: int) -> int:
    """A sibling of the first worker: a child of the same torchrun."""
    parent = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next(int(c) for c in children if int(c) != first)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, tiny_vlm_path: Path) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    finish(sharded(tiny_vlm_path), folder)
    return folder


def test_two_processes_make_the_run_of_one(once: Path, tmp_path: Path, tiny_vlm_path: Path) -> None:
    assert len(read_jsonl(the_run(once) / "metrics.jsonl")) == 3
    finish(small(tiny_vlm_path), tmp_path)  # stage 2, in the main process
    assert the_run(tmp_path).name == the_run(once).name  # the same run: neither stage nor processes define it
    ours, theirs = outcome(once), outcome(tmp_path)
    assert ours["scores"] == theirs["scores"] and ours["samples"] == theirs["samples"]
    for a, b in zip(ours["metrics"], theirs["metrics"], strict=True):
        assert a.keys() == b.keys() and a["update/sequences"] == 4
        assert all(a[k] == pytest.approx(b[k], abs=1e-4) for k in a if not k.startswith("kl/k") and k != "kl/mean")


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs `make extra-vllm`")
@pytest.mark.parametrize("process", ["inside", "separate"])
def test_an_engine_of_vllm_on_each_of_two_ranks_makes_the_run_of_one(tmp_path: Path, process: str) -> None:
    model = build_tiny_vlm(tmp_path / "model", hidden=128)  # the smallest heads that vLLM takes on the CPU
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder, words in ((alone, small), (together, sharded)):
        folder.mkdir()
        finish(words(model, "rollouts=vllm", f"rollouts.process={process}"), folder)
    ours, theirs = outcome(together), outcome(alone)
    assert ours["scores"] == theirs["scores"] and ours["samples"] == theirs["samples"]
    for a, b in zip(ours["metrics"], theirs["metrics"], strict=True):
        assert a.keys() == b.keys()
        assert all(a[k] == pytest.approx(b[k], abs=1e-4) for k in a if not k.startswith("kl/k") and k != "kl/mean")


@pytest.mark.parametrize("who", ["first worker", "other worker", "launcher"])
def test_a_killed_process_costs_the_step_at_hand_only(
    once: Path, tmp_path: Path, tiny_vlm_path: Path, who: str
) -> None:
    process = start(sharded(tiny_vlm_path), tmp_path)
    first = wait_for(lambda: first_worker(tmp_path), tmp_path)
    victim = {
        "first worker": lambda: first,
        "other worker": lambda: other_worker(first),
        "launcher": lambda: process.pid,
    }
    os.kill(victim[who](), signal.SIGKILL)
    code = process.wait(LIMIT_S)
    if who == "launcher":
        assert code == -signal.SIGKILL
        wait_for(lambda: not Path(f"/proc/{first}").exists(), tmp_path)  # workers end by themselves
    else:
        assert (
            code == 2 and "a training process was lost" in said(tmp_path) and "goes on from the last" in said(tmp_path)
        )
    finish(sharded(tiny_vlm_path), tmp_path)
    assert json.dumps(outcome(tmp_path)) == json.dumps(outcome(once))


def test_sigterm_saves_stops_and_goes_on(once: Path, tmp_path: Path, tiny_vlm_path: Path) -> None:
    words = sharded(tiny_vlm_path, "algo.checkpoint_every=50")
    process = start(words, tmp_path)
    wait_for(lambda: first_worker(tmp_path), tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 130, said(tmp_path)
    assert "the same command goes on" in said(tmp_path) and "Traceback" not in (tmp_path / "output.log").read_text()
    assert list((the_run(tmp_path) / "checkpoints").glob("step-*"))
    finish(words, tmp_path)
    assert json.dumps(outcome(tmp_path)) == json.dumps(outcome(once))


def test_a_lost_worker_is_replaced_where_restarts_are_allowed(once: Path, tmp_path: Path, tiny_vlm_path: Path) -> None:
    process = start(sharded(tiny_vlm_path, "launcher.restarts=1"), tmp_path)
    first = wait_for(lambda: first_worker(tmp_path), tmp_path)
    os.kill(other_worker(first), signal.SIGKILL)
    assert process.wait(LIMIT_S) == 0, said(tmp_path)
    assert json.dumps(outcome(tmp_path)) == json.dumps(outcome(once))


def test_two_machines_with_a_worker_each_make_the_run_of_two_workers(
    once: Path, tmp_path: Path, tiny_vlm_path: Path
) -> None:
    """Both are this one, which is all the same to the workers: they meet at host and port."""
    place = f"127.0.0.1:{free_port()}"
    words = sharded(tiny_vlm_path, "launcher.processes=1", "launcher.nodes=2", f"launcher.rendezvous={place}")
    process = start(words, tmp_path)
    folder = wait_for(lambda: next(iter(tmp_path.glob(f"outputs/*/{RESOLVED}")), None), tmp_path).parent
    command = torchrun(load_config(folder, RESOLVED), folder, "grpo", node=1)
    other = subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=LIMIT_S)
    assert other.returncode == 0 and process.wait(LIMIT_S) == 0, said(tmp_path)
    assert f"--node-rank=1 --master-addr=127.0.0.1 --master-port={place[10:]}" in said(tmp_path)
    assert json.dumps(outcome(tmp_path)) == json.dumps(outcome(once))
