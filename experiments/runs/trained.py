"""Which models a command uses that takes `run=<folder>`: what the run trained, or the configured ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.errors import MissingFile
from conf.parts import with_keys
from conf.schema import TeamUse
from experiments.runs.identity import START, TRAINED, WRITER, load_config

WRITERS = (WRITER, f"sessions/edit_r2/{WRITER}")  # where a run leaves a trained writer of intents, the first one counts


def trained(config: TeamUse) -> Any:
    """The decomposer of a run (its own prompt and sizes with its trained weights), or the configured one. Raises MissingFile
    where the run has none yet."""
    run = _decomposer_run(config)
    if run is None:
        return config.decomposer
    folder = Path(run) / TRAINED
    settings = load_config(run).decomposer
    if not folder.is_dir():
        raise MissingFile(
            f"{run} has no trained decomposer yet (no folder {TRAINED}/ in it); let its training end first"
        )
    return with_keys(settings, "decomposer", {"checkpoint": str(folder)})


def before_rl(config: TeamUse) -> Any:
    """The decomposer as the run began with it, or the configured one. A sequencer that asks a model uses its backbone, as in the
    run's own arms."""
    run = _decomposer_run(config)
    if run is None:
        return config.decomposer
    settings = load_config(run).decomposer
    return with_keys(settings, "decomposer", {"checkpoint": str(start_in(run, settings))})


def start_in(run: str | Path, settings: Any) -> Path:
    """The weights before RL of a run with this decomposer: those after its supervised start, where it had one."""
    start = Path(run) / START
    return start if start.is_dir() else Path(settings.checkpoint)


def writer_in(run: str | Path | None) -> Path | None:
    """The writer of intents that a run trained."""
    places = () if run is None else [Path(run) / place for place in WRITERS]
    return next((place for place in places if place.is_dir()), None)


def _decomposer_run(config: TeamUse) -> str | None:
    """The run that the decomposer is taken from. A run that trained a writer of intents and no decomposer gives the writer alone,
    where one is wanted."""
    wants_writer = getattr(config, "intent", None) is not None
    if config.run is None or (wants_writer and writer_in(config.run) and not (Path(config.run) / TRAINED).is_dir()):
        return None
    return config.run


__all__ = ["WRITERS", "before_rl", "start_in", "trained", "writer_in"]
