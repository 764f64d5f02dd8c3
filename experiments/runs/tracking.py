"""Where metrics go besides `metrics.jsonl`, which the training loop itself always writes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from common.errors import MissingFile
from common.filenames import name_field
from common.parts import Machine, Part
from conf.parts import build

KEY = "WANDB_API_KEY"


class Tracker(Protocol):
    def log(self, metrics: Mapping[str, Any]) -> None:
        """One step's numbers; "step" is among them."""
        ...

    def summary(self, values: Mapping[str, Any]) -> None:
        """The run's final numbers."""
        ...

    def finish(self) -> None:
        """Called exactly once, whatever happened."""
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
    mode: Literal["auto", "online", "offline"] = "auto"  # auto: online with a key, else offline
    group: str | None = name_field(None, longest=128)  # null: the sweep's id

    def missing(self, machine: Machine) -> Iterator[str]:
        if self.mode == "online" and not machine.has_key(KEY):
            yield (
                f"key {KEY} in the environment, for tracker=wandb tracker.mode=online: it is shown on your W&B user page; or "
                "tracker.mode=offline"
            )

    def build(self, tools: TrackerTools) -> WandB:
        online = self.mode == "online" or (self.mode == "auto" and bool(os.environ.get(KEY)))
        return WandB(self, tools, "online" if online else "offline")


class WandB:
    def __init__(self, options: WandBTracker, tools: TrackerTools, mode: Literal["online", "offline"]) -> None:
        try:
            import wandb
        except ImportError as e:
            raise MissingFile("tracker=wandb needs the package wandb: `make clean && make run` installs it") from e
        os.environ.setdefault("WANDB_SILENT", "true")
        self.run = wandb.init(
            project=options.project,
            entity=options.entity,
            id=tools.folder.name.rpartition("-")[2],
            name=tools.folder.name,
            group=options.group or tools.sweep or None,
            dir=str(tools.folder),
            config=dict(tools.values),
            mode=mode,
            resume="allow",
            reinit="create_new",  # a sweep in one process is still one run per job
        )
        self.run.define_metric("*", step_metric="step")

    def log(self, metrics: Mapping[str, Any]) -> None:
        self.run.log(dict(metrics))

    def summary(self, values: Mapping[str, Any]) -> None:
        self.run.summary.update(dict(values))

    def finish(self) -> None:
        self.run.finish()


def make_tracker(part: Any, folder: Path, values: Mapping[str, Any], sweep: str = "") -> Tracker:
    return build(part, TrackerTools(folder, values, sweep))


__all__ = ["NoTracker", "Tracker", "TrackerTools", "WandB", "WandBTracker", "make_tracker"]
