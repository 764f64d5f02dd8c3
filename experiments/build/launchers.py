"""In how many processes a run trains. All other phases of a run have one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.errors import BadInput
from common.parts import Machine, Part, incidental
from common.ranges import number
from experiments.build.training_job import TrainingJob


@dataclass
class LocalLauncher(Part):
    """The process that was started trains alone."""

    name: str = "local"
    processes: int = number(1, 1, 4096, defines=False)  # on this machine
    # machines that train together, with a shared folder: SLURM starts all of them, else the others are started by hand
    nodes: int = number(1, 1, 4096, defines=False)
    rendezvous: str = incidental("")  # host:port of this machine, where the others find it
    # starts by itself after a process was lost, from the last checkpoint
    restarts: int = number(0, 0, 1000, defines=False)

    several = False
    by_hand = True  # the other machines

    def __post_init__(self) -> None:
        self._check_nodes()

    def _check_nodes(self) -> None:
        host, _, port = self.rendezvous.rpartition(":")
        if (self.nodes > 1) != bool(host and port.isdigit()):
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
    processes: int = number(2, 1, 4096, defines=False)

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

        launch(job)


@dataclass
class SlurmLauncher(TorchrunLauncher):
    """torchrun in the jobs of a cluster, one job for every run of a sweep, on one or several nodes."""

    name: str = "slurm"
    processes: int = number(8, 1, 4096, defines=False)  # on each node

    by_hand = False

    def _check_nodes(self) -> None:
        if self.nodes > 1 and self.restarts:
            raise BadInput("several nodes need launcher.restarts=0: a job that is queued again goes on instead")

    def launch(self, job: TrainingJob) -> None:
        from experiments.runs.nodes import called

        super().launch(called(job) if self.nodes > 1 else job)


__all__ = ["LocalLauncher", "SlurmLauncher", "TorchrunLauncher"]
