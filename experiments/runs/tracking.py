"""Where metrics go besides `metrics.jsonl`, which the training loop itself always writes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from common.errors import MissingFile
from conf.schema import TrackerConfig


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


class Silent:
    """`tracker=jsonl`: the files of the run are enough."""

    def log(self, metrics: Mapping[str, Any]) -> None:
        return

    def summary(self, values: Mapping[str, Any]) -> None:
        return

    def finish(self) -> None:
        return


class WandB:
    """One W&B run per job: its id is the run's hash, so that a resumed job goes on in the same run; a sweep is a group."""

    def __init__(self, config: TrackerConfig, folder: Path, values: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as e:
            raise MissingFile("tracker=wandb needs the package wandb: `make clean && make run` installs it") from e
        os.environ.setdefault("WANDB_SILENT", "true")
        self.run = wandb.init(
            project=config.project,
            entity=config.entity,
            id=folder.name.rpartition("-")[2],
            name=folder.name,
            group=config.group,
            dir=str(folder),
            config=dict(values),
            mode="online" if wandb_mode(config) == "online" else "offline",
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


def wandb_mode(config: TrackerConfig) -> str:
    """online or offline; "auto" is online only where there is a key."""
    if config.mode != "auto":
        return config.mode
    return "online" if os.environ.get("WANDB_API_KEY") else "offline"


def make_tracker(config: TrackerConfig, folder: Path, values: Mapping[str, Any]) -> Tracker:
    return WandB(config, folder, values) if config.name == "wandb" else Silent()
