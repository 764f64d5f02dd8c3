"""A run on several nodes of a SLURM job. submitit starts the command on each of them: node 0 does the run; the others start their
share of the workers whenever a training begins, and leave when node 0 has ended.

They meet in a folder of the sweep that all nodes see: `training-<n>.json` says which training begins and where its workers find
each other, `ended` that there will be no other.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from common.files import read_json, write_json
from common.progress import console
from conf.schema import RunConfig
from experiments.build.training_job import TrainingJob
from experiments.runs.launch import workers
from experiments.runs.sweeps import sweep_folder

ENDED, POLL_S = "ended", 0.5
T = TypeVar("T")


def meeting_place(config: RunConfig) -> Path:
    """Of this start of this job: one that was queued again has another."""
    job, start = os.environ.get("SLURM_JOB_ID", "0"), os.environ.get("SLURM_RESTART_COUNT", "0")
    return sweep_folder(config.paths.outputs, config.sweep) / "nodes" / f"{job}-{start}"


def node() -> int:
    return int(os.environ.get("SLURM_NODEID", "0"))


def on_this_node(config: RunConfig, work: Callable[[RunConfig], T]) -> T | None:
    """What `work(config)` returns, on the node that does the run; None on the others of a SLURM job, when it has ended. They leave
    however it ends; where node 0 was killed, SLURM ends them (SLURM_KILL_BAD_EXIT in conf/hydra/launcher/slurm.yaml)."""
    if getattr(config.launcher, "by_hand", True) or config.launcher.nodes == 1:
        return work(config)
    if node() > 0:
        assist(config)
        return None
    try:
        return work(config)
    finally:
        write_json(meeting_place(config) / ENDED, {})


def called(job: TrainingJob) -> TrainingJob:
    """The training with a place where the workers of all nodes meet; the other nodes are told."""
    place = meeting_place(job.config)
    with socket.socket() as free:
        free.bind(("", 0))
        meet = f"{socket.gethostname()}:{free.getsockname()[1]}"
    number = len(list(place.glob("training-*.json"))) + 1
    write_json(
        place / f"training-{number}.json", {"folder": str(job.folder.resolve()), "stage": job.stage, "meet": meet}
    )
    return replace(job, config=_meeting_at(job.config, meet))


def assist(config: RunConfig) -> None:
    """What a node other than 0 does: nothing until a training begins, then its share of it."""
    place, number = meeting_place(config), 1
    while not (place / ENDED).exists():
        told = place / f"training-{number}.json"
        if told.is_file():
            _work(config, read_json(told))
            number += 1
        else:
            time.sleep(POLL_S)


def _work(config: RunConfig, told: dict[str, Any]) -> None:
    """The workers of this node. Where one of them fails, node 0 finds out by its own ones and says so."""
    folder = Path(told["folder"])
    log = folder / f"workers-{node()}.log"
    console.print(f"node {node()}: {told['stage']}, meeting at {told['meet']}, printing to {log}", markup=False)
    meeting = _meeting_at(config, told["meet"])
    with log.open("a", encoding="utf-8") as out, workers(meeting, folder, told["stage"], out, node()) as agent:
        agent.wait()


def _meeting_at(config: RunConfig, meet: str) -> RunConfig:
    return replace(config, launcher=replace(config.launcher, rendezvous=meet))


__all__ = ["assist", "called", "meeting_place", "node", "on_this_node"]
