"""In how many processes a run trains. All other phases of a run have one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.parts import Machine, Part, incidental


@dataclass(frozen=True)
class TrainingJob:
    """What a launcher starts: `train` does it in this process."""

    config: Any
    folder: Path
    stage: str  # its name
    log: Callable[[Any], None]
    show: Callable[..., None]
    train: Callable[[], None]


@dataclass
class LocalLauncher(Part):
    """The process that was started trains alone."""

    name: str = "local"
    processes: int = incidental(1)  # on this machine
    nodes: int = incidental(1)  # machines that train together, with a shared folder; the others are started by hand
    rendezvous: str = incidental("")  # host:port of this machine, where the others find it
    restarts: int = incidental(0)  # starts by itself after a process was lost, from the last checkpoint

    several = False

    def __post_init__(self) -> None:
        if self.processes < 1 or self.restarts < 0:
            raise BadInput(f"launcher.processes={self.processes} must be 1 or more, launcher.restarts 0 or more")
        host, _, port = self.rendezvous.rpartition(":")
        if self.nodes < 1 or (self.nodes > 1) != bool(host and port.isdigit()):
            raise BadInput(
                f"launcher.nodes={self.nodes}, launcher.rendezvous='{self.rendezvous}': several machines need both, the "
                "latter as host:port of this one"
            )
        if self.nodes > 1 and (type(self).__name__ != "TorchrunLauncher" or self.restarts):
            raise BadInput(
                "several machines need launcher=torchrun and launcher.restarts=0: the same command goes on instead"
            )

    def check(self) -> None:
        """BadInput for what a training cannot use."""
        if self.processes > 1:
            raise BadInput("launcher=local is one process; for more use launcher=torchrun")

    def launch(self, job: TrainingJob) -> None:
        job.train()


@dataclass
class TorchrunLauncher(LocalLauncher):
    """Several processes on this machine, one per device, started by torchrun."""

    name: str = "torchrun"
    processes: int = incidental(2)

    several = True

    def check(self) -> None:
        pass

    def missing(self, machine: Machine) -> Iterator[str]:
        gpus = len(machine.gpu_memories())
        if 0 < gpus < self.processes:
            yield (
                f"GPUs: launcher.processes={self.processes} need one each, this machine has {gpus}; set "
                f"launcher.processes={gpus}, or engine.device=cpu"
            )

    def launch(self, job: TrainingJob) -> None:
        from experiments.runs.launch import launch

        launch(job.config, job.folder, job.stage, job.log, job.show)


@dataclass
class SlurmLauncher(TorchrunLauncher):
    """torchrun in the jobs of a cluster, one job for every run of a sweep."""

    name: str = "slurm"
    processes: int = incidental(8)


__all__ = ["LocalLauncher", "SlurmLauncher", "TorchrunLauncher", "TrainingJob"]
