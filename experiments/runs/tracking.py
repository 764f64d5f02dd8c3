"""Where metrics go besides `metrics.jsonl`, which the training loop itself always writes."""

from __future__ import annotations

import inspect
import netrc
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlparse

from common.errors import BadInput
from common.filenames import name_field
from common.parts import Machine, Part
from conf.parts import build

KEY, MODE, BASE = "WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"
SERVICE = "https://api.wandb.ai"
MODES = {"online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


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


def wandb_mode(configured: str) -> str:
    """online, offline or disabled: what the environment says, or the configuration. Raises BadInput for an unknown one."""
    given = os.environ.get(MODE, "").strip().lower()
    if given and given not in MODES:
        raise BadInput(f"{MODE}={given} in the environment is unknown; give online, offline or disabled, or unset it")
    if given:
        return MODES[given]
    return ("online" if has_key() else "offline") if configured == "auto" else configured


def service() -> str:
    return os.environ.get(BASE, "").strip() or SERVICE


def has_key() -> bool:
    """In the environment, or where `wandb login` writes it."""
    return bool(os.environ.get(KEY)) or _netrc_has(urlparse(service()).hostname or "")


def _netrc_has(host: str) -> bool:
    given = os.environ.get("NETRC")
    for path in [Path(given)] if given else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            entry = netrc.netrc(str(path)).authenticators(host)
        except (OSError, netrc.NetrcParseError):
            continue
        if entry and entry[2]:
            return True
    return False


def make_tracker(part: Any, folder: Path, values: Mapping[str, Any], sweep: str = "") -> Tracker:
    return build(part, TrackerTools(folder, values, sweep))


def end(tracker: Tracker, exit_code: int) -> None:
    """Finish it; a tracker that knows exit codes gets this one."""
    if "exit_code" in inspect.signature(tracker.finish).parameters:
        tracker.finish(exit_code=exit_code)  # type: ignore[call-arg]
    else:
        tracker.finish()


__all__ = [
    "NoTracker",
    "Tracker",
    "TrackerTools",
    "WandBTracker",
    "end",
    "has_key",
    "make_tracker",
    "service",
    "wandb_mode",
]
