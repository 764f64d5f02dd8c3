"""Which decomposer a command uses that takes `run=<folder>`: the trained one of a run, or the configured one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.errors import MissingFile
from conf.parts import with_keys
from conf.schema import TeamUse
from experiments.runs.identity import START, TRAINED, load_config


def trained(config: TeamUse) -> Any:
    """The decomposer of a run (its own prompt and sizes with its trained weights), or the configured one. Raises MissingFile
    where the run has none yet."""
    if config.run is None:
        return config.decomposer
    folder = Path(config.run) / TRAINED
    settings = load_config(config.run).decomposer
    if not folder.is_dir():
        raise MissingFile(
            f"{config.run} has no trained decomposer yet (no folder {TRAINED}/ in it); let its training end first"
        )
    return with_keys(settings, "decomposer", {"checkpoint": str(folder)})


def start_of(config: TeamUse) -> Path:
    """The weights before RL: of the run where it is given, else the configured ones."""
    if config.run is None:
        return Path(config.decomposer.checkpoint)
    start = Path(config.run) / START
    return start if start.is_dir() else Path(load_config(config.run).decomposer.checkpoint)


__all__ = ["start_of", "trained"]
