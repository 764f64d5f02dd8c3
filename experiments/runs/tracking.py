"""Where metrics go besides `metrics.jsonl`, which the training loop itself always writes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from common.filenames import name_field
from common.parts import Machine, Part
from conf.parts import build
from experiments.runs.wandb_account import KEY, has_key, wandb_mode


class Tracker(Protocol):
    def log(self, metrics: Mapping[str, Any]) -> None:
        """One step's numbers; "step" is among them."""
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

    def log(self, metrics: Mapping[str, Any]) -> None:
        return

    def summary(self, values: Mapping[str, Any]) -> None:
        return

    def finish(self) -> None:
        return


@dataclass
class WandBTracker(Part):
    """One W&B run per job: its id is the run's hash, so that a resumed job goes on in the same run; a sweep is a group."""

    name: str = "wandb"
    project: str = name_field("imageedit-r1", longest=128)
    entity: str | None = name_field(None, longest=128)
    mode: Literal["auto", "online", "offline"] = "auto"  # auto: online with a key, else offline; WANDB_MODE wins
    group: str | None = name_field(None, longest=128)  # null: the sweep's id

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


def make_tracker(part: Any, folder: Path, values: Mapping[str, Any], sweep: str = "") -> Tracker:
    return build(part, TrackerTools(folder, values, sweep))


def end(tracker: Tracker, exit_code: int) -> None:
    """Finish it; a tracker that knows exit codes gets this one."""
    if "exit_code" in inspect.signature(tracker.finish).parameters:
        tracker.finish(exit_code=exit_code)  # type: ignore[call-arg]
    else:
        tracker.finish()


__all__ = ["NoTracker", "Tracker", "TrackerTools", "WandBTracker", "end", "make_tracker"]
