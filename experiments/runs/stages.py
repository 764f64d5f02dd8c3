"""A job is a list of stages. Each says whether it is done, does what is left of it, and declares what it measures and shows.

`experiment=<name>` chooses the list: class paths under `job:` in conf/experiment/<name>.yaml. A class of one's own package works
as ours do. `stages=[a,b]` runs a part of the list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from common.dotted import load_dotted, nearest
from common.errors import BadInput
from common.jsonl import read_jsonl
from common.parts import Machine
from common.progress import Bar, bar
from conf.schema import RunConfig
from experiments.build.training_job import TrainingJob
from experiments.preflight.phases import Phase
from experiments.runs.launch import Log, Show
from experiments.runs.pruning import pruner_of

if TYPE_CHECKING:
    from experiments.runs.run import Run


class Stage(ABC):
    """One step of a run. What a stage leaves in the run's folder says how far it came: `run` goes on from there, after a kill
    too, and does nothing twice."""

    name: ClassVar[str]  # for stages=[…]
    uses: ClassVar[frozenset[str]] = frozenset({"decomposer", "editor"})  # models of the run that must be there for it
    metrics: ClassVar[tuple[str, ...]] = ()  # dotted keys that it adds to results.json, or its metrics in metrics.jsonl
    panels: ClassVar[
        tuple[str, ...]
    ] = ()  # what the report shows of it: dotted paths of panels (experiments/reports/panels.py)

    # what other runs may take of it: files and folders in the run's folder, the one that says that it is done last
    leaves: ClassVar[tuple[str, ...]] = ()
    builds_on: ClassVar[tuple[str, ...]] = ()  # names of the stages whose results it may read, where it shares its own
    own_sharing: ClassVar[bool] = False  # it shares parts of its result by itself, while it runs

    @abstractmethod
    def done(self, run: Run) -> bool:
        """Whether there is nothing left to do. Cheap: nothing heavy is loaded."""

    @abstractmethod
    def run(self, run: Run) -> None:
        """Do what is left. Raises KeyboardInterrupt where somebody stopped it, with everything saved."""

    def missing(self, config: RunConfig, machine: Machine) -> Iterable[str]:
        """One line for everything of its own that this machine lacks, each saying how to get it. Nothing is loaded."""
        return ()

    def phases(self, config: RunConfig) -> Iterable[Phase]:
        """What lies on each GPU at its worst moments, for `experiments.plan` and the check before a run; nothing where it is not
        declared. From configurations alone. Raises BadInput and MissingFile for models of which nothing is known."""
        return ()

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str] | None:
        """The dotted keys of a run's identity `values` that cannot change what it leaves, each with the reason: runs that differ
        in these alone have the result in common. None, the default: no other run takes it. A subclass declares its own."""
        return None

    def parents(self, config: RunConfig) -> Sequence[str]:
        """Which of `builds_on` it reads with this configuration."""
        return self.builds_on

    def defined_by(self, config: RunConfig) -> Mapping[str, Any]:
        """What defines its result besides what is left of the identity: digests of single files, say, where `indifferent` leaves
        those of a whole group out."""
        return {}

    def results(self, run: Run) -> Mapping[str, Any]:
        """Sections of its own for results.json."""
        return {}

    def show(self, run: Run, results: Mapping[str, Any]) -> None:  # noqa: B027
        """Print what a terminal shows of it when the run is finished; nothing by default."""

    def objective(self, run: Run) -> str:
        """The dotted key of results.json that a sweep optimises where nothing else is configured; "" for none. The last stage
        of the list that has one decides."""
        return ""


class TrainingStage(Stage):
    """A stage that several processes can share under torchrun: each calls `train`."""

    journal: ClassVar[str] = "metrics.jsonl"  # in the run's folder: a row for each step

    def steps(self, config: RunConfig) -> int:
        """How many there are."""
        return int(config.algo.steps)

    def steps_done(self, folder: Path) -> int:
        path = folder / self.journal
        rows = read_jsonl(path) if path.is_file() else []
        return int(rows[-1]["step"]) if rows else 0

    def launch(self, run: Run, title: str, metric: str, word: str) -> None:
        """Train in as many processes as the run's launcher starts; the bar shows one metric beside it, under this word."""
        run.enter(title)
        steps, record, pruner = self.steps(run.config), run.log_of(self.journal), pruner_of(run, self.journal)

        def log(row: dict[str, Any]) -> None:
            record(row)
            if pruner is not None:
                pruner.step(row)

        with bar(title, steps, self.steps_done(run.folder)) as b:
            show = shown(b, metric, word)
            run.config.launcher.launch(
                TrainingJob(
                    run.config,
                    run.folder,
                    self.name,
                    log,
                    show,
                    lambda: self.train_here(run, log, show),
                    self.journal,
                    steps,
                )
            )

    def train_here(self, run: Run, log: Log, progress: Show) -> None:
        """The whole training in this process."""
        from rl.engine.process_group import leave

        self.train(run, log, progress)
        leave()  # where the engine made a process group

    @abstractmethod
    def train(self, run: Run, log: Log | None = None, progress: Show | None = None) -> None:
        """This process's part of the training; the first rank saves the result. `log` gets a row for each step, `progress` the
        number of steps done, of all steps, and that row."""


def shown(b: Bar, key: str, name: str) -> Callable[[int, int, Mapping[str, float]], None]:
    """A progress callback that moves the bar and shows one metric beside it."""

    def step(done: int, total: int, metrics: Mapping[str, float]) -> None:
        b.update(done, f"{name} {metrics[key]:.3f}" if key in metrics else "")

    return step


def load_stages(paths: Sequence[str]) -> list[Stage]:
    """The stages with these class paths. Raises BadInput for a path that is none, or for two stages of one name."""
    stages = [_load(path) for path in paths]
    if not stages:
        raise BadInput("job=[] has no stage; experiment=main is the usual list")
    names = [s.name for s in stages]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise BadInput(f"job: two stages have the name {twice!r}; each needs a name of its own")
    return stages


def _load(path: str) -> Stage:
    kind = load_dotted(path, f"job: {path}")
    if not (isinstance(kind, type) and isinstance(getattr(kind, "name", None), str) and hasattr(kind, "done")):
        raise BadInput(
            f"job: {path} is no stage: it needs a name, done(run) and run(run), as experiments.runs.stages.Stage"
        )
    stage: Stage = kind()
    return stage


def selected(stages: Sequence[Stage], names: Sequence[str] | None) -> list[Stage]:
    """The stages with these names, in the order of the job; all of them for None. Raises BadInput naming the nearest one."""
    if names is None:
        return list(stages)
    existing = [s.name for s in stages]
    for name in names:
        if name not in existing:
            raise BadInput(f"stages: there is no stage '{name}'{nearest(name, existing, all_of_them=True)}")
    return [s for s in stages if s.name in names]


def panels_of(stages: Sequence[Stage]) -> list[str]:
    """The dotted paths of the panels that the stages bring."""
    return [path for stage in stages for path in stage.panels]


__all__ = ["Stage", "TrainingStage", "load_stages", "panels_of", "selected", "shown"]
