"""Hydra's launcher for sweeps of runs: a process for every job, finished jobs reused, shared phases waited for.

A sweeper (the grid, or a search) hands over the words of its jobs; each becomes the command that a user would give for it alone.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from common.errors import BadInput
from experiments.runs.composing import hydra_of

if TYPE_CHECKING:
    from experiments.sweeping.job import Job

MODULE = "hydra_plugins.imageedit"
TARGET = f"{MODULE}.ProcessLauncher"
MAX_PARALLEL, SHORT = "hydra.launcher.max_parallel=", "sweep.max_parallel="
KEPT_BACK = ("hydra.launcher", "hydra/launcher", "hydra.sweep", "hydra/sweeper", "hydra.mode")  # the sweep's own


class ProcessLauncher(Launcher):
    """`launch` returns a value for each job: what its run's status.json has as its score."""

    __module__ = MODULE  # see `register`
    failed: list[Job] = []  # of all batches of this process's sweep

    def __init__(self, max_parallel: int = 1) -> None:
        self.max_parallel = max_parallel
        self.config: DictConfig

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Raises KeyboardInterrupt where the sweep was stopped."""
        from common.progress import console
        from experiments.sharing.store import Store
        from experiments.sweeping.process import start
        from experiments.sweeping.schedule import Schedule
        from experiments.sweeping.view import shown

        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)  # a search writes its result there
        sweep = self.config.get("sweep") or folder.name
        folder = folder.with_name(sweep)  # sweep=<name>: where runs note that they are part of it
        jobs = self.jobs([tuple(map(str, words)) for words in job_overrides], initial_job_idx, folder, sweep)
        given = [w for w in self.config.hydra.overrides.hydra if not w.startswith(KEPT_BACK)]
        store = Store(Path(self.config.paths.outputs)) if self.config.share else None
        with shown(jobs, console) as view:
            for job in jobs:
                if job.over:
                    view.tell(job)
            Schedule(
                jobs,
                self.max_parallel,
                folder,
                store,
                lambda job: start([*given, *with_sweep(job.words, sweep)], job.log),
                view.tell,
            ).run()
        ProcessLauncher.failed += [job for job in jobs if job.state == "failed"]
        grid = self.config.hydra.sweeper._target_.endswith("BasicSweeper")
        return [returned(job, grid) for job in jobs]

    def jobs(self, words: Sequence[tuple[str, ...]], first: int, folder: Path, sweep: str) -> list[Job]:
        from experiments.sweeping.job import Job, own_words
        from experiments.sweeping.planning import plan

        made = []
        for i, (mine, own) in enumerate(zip(words, own_words(words), strict=True), first + 1):
            name = hashlib.sha256(" ".join(mine).encode()).hexdigest()[:8]
            made.append(Job(i, mine, own, folder / "logs" / f"{i:03}-{name}.log"))
            plan(made[-1], sweep)
        return made


def with_sweep(words: Sequence[str], sweep: str) -> list[str]:
    return [*words] if any(w.startswith("sweep=") for w in words) else [*words, f"sweep={sweep}"]


def returned(job: Job, grid: bool) -> JobReturn:
    """A grid goes through to its end: what failed is reported once, there. A search is told of it by a value that is no number, for
    which Optuna fails the trial; an error would be printed by Hydra once more."""
    done = JobReturn(overrides=list(job.words), task_name="run", status=JobStatus.COMPLETED)
    told = not grid and job.state in ("failed", "pruned")
    done.return_value = f"{job.own}: {job.error or job.state}" if told else job.score
    return done


def register() -> None:
    """Make the launcher known to Hydra, which takes plugins from modules of `hydra_plugins` alone: where a package is installed.
    This one is a module in memory, so that a checkout needs no installation of its own for it."""
    package, name = MODULE.split(".")
    try:
        parent = importlib.import_module(package)
    except ModuleNotFoundError:  # no other plugin is installed
        parent = sys.modules.setdefault(package, ModuleType(package))
    module = ModuleType(MODULE, "The launcher of experiments/sweeping/launcher.py.")
    vars(module)[ProcessLauncher.__name__] = ProcessLauncher
    sys.modules[MODULE] = module
    setattr(parent, name, module)
    Plugins.instance().register(ProcessLauncher)


def taken_out(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command line without the keys of this launcher, and these as Hydra knows them. They define no sweep."""
    mine = [w for w in argv if w.startswith((MAX_PARALLEL, SHORT))]
    return [w for w in argv if w not in mine], [MAX_PARALLEL + w.partition("=")[2] for w in mine]


def words_for(name: str, overrides: Sequence[str], mine: Sequence[str]) -> list[str]:
    """What makes a sweep of this command run by us; nothing where a word or a file chooses another launcher. `overrides` are the
    words without lists of values, `mine` the keys of this launcher. Raises BadInput for these where another is chosen, or where
    their value cannot be used."""
    for word in mine:
        if not (number := word.removeprefix(MAX_PARALLEL)).isdecimal() or int(number) < 1:
            raise BadInput(f"sweep.max_parallel={number} cannot be used; give 1 or more")
    target = str(hydra_of(name, overrides).launcher._target_)
    given = any(w.startswith("hydra/launcher=") for w in overrides)
    if name == "run" and (target == TARGET or (target.endswith("BasicLauncher") and not given)):
        return ["hydra/launcher=processes", *mine] if not given else [*mine]
    if mine:
        raise BadInput(
            "sweep.max_parallel is of the launcher that a sweep of runs has by itself, and another one is chosen; leave it out, or "
            "set what that one has (joblib: hydra.launcher.n_jobs)"
        )
    return []


__all__ = ["ProcessLauncher", "register", "taken_out", "words_for"]
