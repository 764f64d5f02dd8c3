"""Freeing disk: what goes by which rule, and the removal itself, under each run's lock."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import BadInput, SaveFailed
from common.files import locked
from experiments.catalogue.entry import Entry
from experiments.catalogue.references import keeps, pointed_at
from experiments.catalogue.removable import GONE, MODEL, Item, Keep, items
from experiments.catalogue.sizes import files_in
from experiments.catalogue.state import RUNNING, is_running


@dataclass(frozen=True)
class Rule:
    """`states`: of runs that are cleaned. `older_than`: seconds since their last change. `trained`: models go too."""

    keep: Keep
    states: tuple[str, ...]
    older_than: float
    trained: bool


@dataclass(frozen=True)
class Plan:
    """(run, what of it goes), and a line for everything that stays although the rule asks for it."""

    removed: list[tuple[Entry, list[Item]]]
    kept: list[str]

    @property
    def paths(self) -> list[Path]:
        return [item.path for _, several in self.removed for item in several]


def plan(entries: Sequence[Entry], rule: Rule, neighbours: Sequence[Path]) -> Plan:
    """What the rule removes. `neighbours`: all runs that may point to these."""
    pointed = pointed_at(dict.fromkeys([*neighbours, *(e.folder for e in entries)]))
    removed, kept = [], []
    for e in entries:
        if e.state.word == RUNNING:
            kept.append(f"{e.name} is running")
            continue
        if e.state.word not in rule.states or e.age < rule.older_than:
            continue
        goes = []
        for item in items(e.folder, rule.keep, rule.trained):
            # a run that another names is needed for its models; its checkpoints are, where they are named themselves
            if who := keeps(item.path, e.folder, pointed, whole=item.kind == MODEL):
                kept.append(f"{item.path}: {who} points to it")
            else:
                goes.append(item)
        if goes:
            removed.append((e, goes))
    return Plan(removed, kept)


def freed(paths: Sequence[Path]) -> int:
    """Bytes that the disk gets back: a file with another name that stays frees nothing."""
    seen = Counter((s.st_dev, s.st_ino, s.st_nlink, s.st_size) for path in paths for s in files_in(path))
    return sum(size for (_, _, links, size), n in seen.items() if n >= links)


def remove(planned: Plan) -> list[str]:
    """Delete what is planned; a line for each run that somebody has begun to use. Raises SaveFailed naming what cannot go."""
    skipped = []
    for entry, several in planned.removed:
        try:
            with locked(entry.folder, on_full_disk=True):
                if is_running(entry.folder, own=False):
                    raise BadInput("an evaluation or a training process works there")
                for item in several:
                    _delete(item.path)
        except BadInput as error:
            skipped.append(f"{entry.name}: {error}")
    return skipped


def _delete(path: Path) -> None:
    try:
        gone = path if path.name.startswith(GONE) else path.with_name(f"{GONE}{path.name}-{time.time_ns()}")
        if gone != path:
            os.replace(path, gone)
        if gone.is_dir() and not gone.is_symlink():
            shutil.rmtree(gone)
        else:
            gone.unlink()
        if path.parent.name.startswith("checkpoints") and not any(path.parent.iterdir()):
            path.parent.rmdir()
    except FileNotFoundError:
        return  # somebody else was quicker
    except OSError as error:
        raise SaveFailed(
            f"could not remove {path}: {error.strerror or error}; mend the permissions and go on"
        ) from error


__all__ = ["Plan", "Rule", "freed", "plan", "remove"]
