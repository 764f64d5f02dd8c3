"""Training in several processes: this one starts them under torchrun, shows how far they are, and passes a wish to stop on.

The configuration was composed once and is written to the run's folder; workers (`experiments/runs/worker.py`) read it there and
print to `workers.log`. Their steps are read from `metrics.jsonl`, so that bar and tracker stay in one process.
"""

from __future__ import annotations

import gc
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from agents.backends.vllm_shared import end_engines
from common.errors import RunFailed
from common.files import locked, read_json, write_text
from common.progress import console
from common.signals import StopSignal
from conf.schema import RunConfig
from experiments.build.training_job import TrainingJob
from experiments.runs.identity import config_text

LOG, ENDED, FIRST, RESOLVED = "workers.log", "workers-ended.json", ".workers", "workers.yaml"
PARENT = "IMAGEEDIT_LAUNCHER"  # the launching process's id: workers stop when it is gone
POLL_S, TAIL = 0.3, 12
Log = Callable[[dict[str, Any]], None]
Show = Callable[[int, int, Mapping[str, float]], None]


def launch(job: TrainingJob) -> None:
    """Run a training stage in several processes; returns when it is done. Raises KeyboardInterrupt where it was
    stopped, RunFailed with the workers' own message, or with the end of their log where they left none (a process that was
    killed)."""
    config, folder, stage, log, show = job.config, job.folder, job.stage, job.log, job.show
    end_engines()  # of phases before: the workers have engines of their own, on the same devices
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()  # models of the phase before
    with locked(folder, FIRST):  # refused while workers of a launcher that was killed are still there
        (folder / ENDED).unlink(missing_ok=True)
    write_text(folder / RESOLVED, config_text(config))
    if config.launcher.by_hand:
        tell_others(config, folder, stage)
    rows = new_rows(folder / job.journal)
    seen = max((row["step"] for row in next(rows)), default=0)
    with (folder / LOG).open("a", encoding="utf-8") as out, StopSignal() as stop:
        place = out.tell()
        with workers(config, folder, stage, out) as agent:
            told = 0
            while agent.poll() is None:
                time.sleep(POLL_S)
                if stop.requested:
                    told = ask_to_stop(folder, told)
                seen = _forward(next(rows), seen, job.steps, log, show)
    _forward(next(rows), seen, job.steps, log, show)
    ended = read_json(folder / ENDED) if (folder / ENDED).exists() else {}
    if ended.get("how") == "stopped" or (stop.requested and not ended):
        raise KeyboardInterrupt(ended.get("message", "the training goes on from its last checkpoint"))
    if ended.get("how") == "failed":
        raise RunFailed(ended["message"])
    if agent.returncode or ended.get("how") != "done":
        raise RunFailed(
            f"a training process was lost (torchrun ended with {agent.returncode}). The checkpoints are intact: the same "
            f"command goes on from the last one. The end of {folder / LOG}:\n{tail(folder / LOG, place)}"
        )


@contextmanager
def workers(
    config: RunConfig, folder: Path, stage: str, out: IO[str], node: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """The workers of this node, which print to `out` and are gone afterwards. They have a session of their own: Ctrl-C reaches this
    process only, which asks the first worker to save and stop."""
    agent = subprocess.Popen(
        torchrun(config, folder, stage, node),
        stdout=out,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env=environment(config),
    )
    try:
        yield agent
    finally:
        if agent.poll() is None:
            agent.terminate()
            agent.wait()


def torchrun(config: RunConfig, folder: Path, stage: str, node: int = 0) -> list[str]:
    """The command that starts the workers of machine `node`; ranks begin on machine 0, where the run was started."""
    launcher = config.launcher
    meet = ["--standalone"]
    if launcher.nodes > 1:
        host, _, port = launcher.rendezvous.rpartition(":")
        meet = [f"--nnodes={launcher.nodes}", f"--node-rank={node}", f"--master-addr={host}", f"--master-port={port}"]
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *meet,
        f"--nproc-per-node={launcher.processes}",
        f"--max-restarts={launcher.restarts}",
        "-m",
        "experiments.runs.worker",
        str(folder),
        stage,
    ]


def tell_others(config: RunConfig, folder: Path, stage: str) -> None:
    """What to start on the other machines, which see the run's folder too."""
    threads = f"OMP_NUM_THREADS={config.engine.threads}"
    for node in range(1, config.launcher.nodes):
        words = ["python", *torchrun(config, folder.resolve(), stage, node)[1:]]
        console.print(f"  on machine {node}, in the code's folder: {threads} {shlex.join(words)}", soft_wrap=True)


def environment(config: RunConfig) -> dict[str, str]:
    """Of the workers: they find the code wherever they are started, and know whom they work for."""
    code = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    mine = {PARENT: str(os.getpid()), "OMP_NUM_THREADS": str(config.engine.threads), "PYTHONPATH": code}
    # a store of its own for every start: workers that replace others would read the addresses of those (torch 2.13)
    return os.environ | mine | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def ask_to_stop(folder: Path, told: int) -> int:
    """SIGTERM to the first worker, which tells the others: once to each process that is it. Returns the last one told."""
    try:
        first = int((folder / FIRST).read_text())
        if first != told:
            os.kill(first, signal.SIGTERM)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return told  # none has started yet
    return first


def new_rows(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Each `next` gives the whole rows that were appended since the last one; a file that was cut is read anew."""
    at = 0
    while True:
        rows: list[dict[str, Any]] = []
        if path.exists():
            if path.stat().st_size < at:
                at = 0
            with path.open("rb") as f:
                f.seek(at)
                for line in f:
                    if not line.endswith(b"\n"):
                        break
                    at += len(line)
                    rows.append(json.loads(line))
        yield rows


def _forward(rows: list[dict[str, Any]], seen: int, steps: int, log: Log, show: Show) -> int:
    for row in rows:
        if row["step"] > seen:  # steps that a restarted training does again are known
            seen = row["step"]
            log(row)
            show(seen, steps, row)
    return seen


def tail(path: Path, start: int) -> str:
    with path.open("rb") as f:
        f.seek(start)
        lines = f.read().decode(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-TAIL:])


__all__ = ["ENDED", "FIRST", "LOG", "PARENT", "RESOLVED", "Log", "Show", "launch", "new_rows", "torchrun", "workers"]
