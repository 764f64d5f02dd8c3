"""Where metrics go besides the journals of the run, which the trainings themselves always write."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from common.dotted import nearest
from common.errors import BadInput
from common.filenames import name_field
from common.parts import Machine, Part
from common.ranges import number
from conf.options import construct
from conf.parts import build, part_field
from experiments.runs.wandb_account import KEY, has_key, wandb_mode


class Tracker(Protocol):
    def log(self, metrics: Mapping[str, Any], training: str = "") -> None:
        """One step's numbers; "step" is among them, counted from 1 in each training of the run. `training`: its name, empty for the
        main one; a tracker without this parameter gets the numbers of all trainings alike."""
        ...

    def summary(self, values: Mapping[str, Any]) -> None:
        """The run's final numbers."""
        ...

    def finish(self) -> None:
        """Called exactly once, whatever happened. One that takes `exit_code` gets 0, 130 after an interrupt, or 1."""
        ...


@dataclass(frozen=True)
class TrackerTools:
    folder: Path  # the run's
    values: Mapping[str, Any]  # what defines the run
    sweep: str = ""  # id of the sweep, where the run is part of one


@dataclass
class NoTracker(Part):
    """The files of the run are enough."""

    name: str = "jsonl"

    def log(self, metrics: Mapping[str, Any], training: str = "") -> None:
        return

    def summary(self, values: Mapping[str, Any]) -> None:
        return

    def finish(self) -> None:
        return


@dataclass
class WandBTracker(Part):
    """One W&B run per job: its id is the run's hash, so that a resumed job goes on in the same run; a sweep is a group."""

    name: str = "wandb"
    project: str = name_field("imageedit-r1", longest=128)  # on W&B
    entity: str | None = name_field(None, longest=128)  # user or team on W&B; null: the key's own
    mode: Literal["auto", "online", "offline"] = "auto"  # auto: online with a key, else offline; WANDB_MODE wins
    group: str | None = name_field(None, longest=128)  # null: the sweep's id
    # models up to this size are uploaded whole, of larger ones the names and sizes of their files
    artifact_mib: float = number(64.0, 0, 2**20)

    def missing(self, machine: Machine) -> Iterator[str]:
        if not machine.has_package("wandb"):
            yield "package wandb, for tracker=wandb: `make clean && make setup` installs it"
        if wandb_mode(self.mode) == "online" and not has_key():
            yield (
                f"key {KEY} in the environment or in ~/.netrc (wandb login), for tracker=wandb tracker.mode=online: it is shown "
                "on your W&B user page; or tracker.mode=offline"
            )

    def build(self, tools: TrackerTools) -> Tracker:
        mode = wandb_mode(self.mode)
        if mode == "disabled":
            return NoTracker()
        from experiments.runs.wandb_run import WandB

        return WandB(self, tools, "online" if mode == "online" else "offline")


@dataclass
class TensorBoardTracker(Part):
    """Event files in the run's folder `tensorboard/`."""

    name: str = "tensorboard"

    def missing(self, machine: Machine) -> Iterator[str]:
        if not machine.has_package("tensorboard"):
            yield "package tensorboard, for tracker=tensorboard: `make extra-apps` installs it"

    def build(self, tools: TrackerTools) -> Tracker:
        from experiments.runs.guarded import Guarded

        def opened() -> Any:
            from experiments.runs.tensorboard_run import TensorBoard

            return TensorBoard(tools)

        return Guarded("TensorBoard", opened, f"tensorboard --logdir {shlex.quote(str(tools.folder.parent))}")


@dataclass
class TrackioTracker(Part):
    """A local Trackio project, whose page `trackio show` opens; no account, no key. TRACKIO_DIR says where it lies."""

    name: str = "trackio"
    project: str = name_field("imageedit-r1", longest=128)  # in Trackio
    group: str | None = name_field(None, longest=128)  # null: the sweep's id

    def missing(self, machine: Machine) -> Iterator[str]:
        if not machine.has_package("trackio"):
            yield "package trackio, for tracker=trackio: `make extra-apps` installs it"

    def build(self, tools: TrackerTools) -> Tracker:
        from experiments.runs.guarded import Guarded

        def opened() -> Any:
            from experiments.runs.trackio_run import Trackio

            return Trackio(self, tools)

        return Guarded("Trackio", opened, f"trackio show --project {shlex.quote(self.project)}")


PARTS = ("wandb", "tensorboard", "trackio")


@dataclass
class ManyTrackers(Part):
    """Several at once, each with its own keys: tracker=many tracker.parts=[wandb,trackio] tracker.wandb.project=mine."""

    name: str = "many"
    parts: list[str] = field(default_factory=lambda: ["wandb", "tensorboard"])  # of wandb, tensorboard, trackio
    wandb: Any = part_field()
    tensorboard: Any = part_field()
    trackio: Any = part_field()

    def __post_init__(self) -> None:
        for name in self.parts:
            if name not in PARTS:
                raise BadInput(f"tracker.parts: there is no '{name}'{nearest(name, list(PARTS), all_of_them=True)}")
            if getattr(self, name) is None:
                raise BadInput(
                    f"tracker.parts has {name}, but tracker.{name} is not there; conf/tracker/many.yaml has it"
                )

    def chosen(self) -> list[Any]:
        return [construct(getattr(self, name)) for name in dict.fromkeys(self.parts)]

    def missing(self, machine: Machine) -> Iterator[str]:
        for part in self.chosen():
            yield from part.missing(machine)

    def build(self, tools: TrackerTools) -> Tracker:
        return _Several([part.build(tools) for part in self.chosen()])


class _Several:
    def __init__(self, trackers: list[Tracker]) -> None:
        self.trackers = trackers

    def log(self, metrics: Mapping[str, Any], training: str = "") -> None:
        for tracker in self.trackers:
            tracker.log(metrics, training)

    def summary(self, values: Mapping[str, Any]) -> None:
        for tracker in self.trackers:
            tracker.summary(values)

    def finish(self, exit_code: int = 0) -> None:
        for tracker in self.trackers:
            end(tracker, exit_code)


def make_tracker(part: Any, folder: Path, values: Mapping[str, Any], sweep: str = "") -> Tracker:
    return build(part, TrackerTools(folder, values, sweep))


def wandb_of(part: Any) -> WandBTracker:
    """The W&B settings of a run's tracker; the usual ones where it has none."""
    part = part.wandb if isinstance(part, ManyTrackers) else part
    return part if isinstance(part, WandBTracker) else WandBTracker()


def logger(tracker: Tracker, training: str) -> Callable[[Mapping[str, Any]], None]:
    """What a training tells its steps; a tracker that knows trainings gets its name."""
    if "training" in inspect.signature(tracker.log).parameters:
        return partial(tracker.log, training=training)
    return tracker.log


def end(tracker: Tracker, exit_code: int) -> None:
    """Finish it; a tracker that knows exit codes gets this one."""
    if "exit_code" in inspect.signature(tracker.finish).parameters:
        tracker.finish(exit_code=exit_code)  # type: ignore[call-arg]
    else:
        tracker.finish()


__all__ = [
    "ManyTrackers",
    "NoTracker",
    "TensorBoardTracker",
    "Tracker",
    "TrackerTools",
    "TrackioTracker",
    "WandBTracker",
    "end",
    "logger",
    "make_tracker",
    "wandb_of",
]
