"""Where finished phases of runs are known: `outputs/shared/<phase>-<hash>.json` names the folders that have one, and their files.

Nothing lies there but names. A run takes files as hard links, or as copies where something may be appended to them or where
the file system has no links. A folder that was deleted or changed since is as if it had never been there.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.atomic import atomic_folder, draft_of, why_refused
from common.errors import BadData, BadInput, SaveFailed
from common.files import locked, read_json, write_json
from common.jsonl import Journal
from experiments.runs.status import now
from experiments.sharing.phase import SharedPhase

SHARED, LOCKS, NOTES = "shared", ".locks", "shared.json"
TIMES = "timing.jsonl"
POLL_S = 0.5


@dataclass(frozen=True)
class Origin:
    """A run's folder with a finished phase: {file: (size, time of its last change in ns)}, and the rows of its time."""

    folder: Path
    files: dict[str, tuple[int, int]]
    times: list[dict[str, Any]]

    @property
    def whole(self) -> bool:
        """Whether every file is as it was when the phase ended."""
        return all(_mark(self.folder / name) == mark for name, mark in self.files.items())


@dataclass(frozen=True)
class Store:
    """The finished phases of all runs below `outputs`."""

    outputs: Path

    def entry(self, phase: SharedPhase) -> Path:
        return self.outputs / SHARED / f"{phase.key}.json"

    @contextmanager
    def alone(self, phase: SharedPhase, on_wait: Any) -> Iterator[None]:
        """Hold the phase, after any other process that does; `on_wait()` is called once where there is one. Freed even by
        kill -9. Raises SaveFailed."""
        said = False
        while True:
            try:
                lock = locked(self.outputs / SHARED / LOCKS, phase.key)
                lock.__enter__()
                break
            except BadInput:
                if not said:
                    on_wait()
                said = True
                time.sleep(POLL_S)
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def find(self, phase: SharedPhase, besides: Path | None = None) -> Origin | None:
        """A run that has the phase, other than the one in `besides`; None where none has it any more."""
        own = besides.resolve() if besides else None
        return next((o for o in self._origins(phase) if o.folder.resolve() != own and o.whole), None)

    def offer(self, phase: SharedPhase, folder: Path, times: list[dict[str, Any]]) -> None:
        """Make a finished phase of the run in `folder` known. Raises SaveFailed."""
        files = {name: mark for name in _listed(folder, phase.leaves) if (mark := _mark(folder / name))}
        mine = Origin(folder, files, times)
        known = [o for o in self._origins(phase) if o.folder.resolve() != folder.resolve() and o.folder.is_dir()]
        rows = [
            {"run": os.path.relpath(o.folder, self.outputs), "files": o.files, "times": o.times} for o in [*known, mine]
        ]
        write_json(self.entry(phase), {"phase": phase.name, "identity": phase.identity, "runs": rows})

    def take(self, phase: SharedPhase, origin: Origin, folder: Path) -> None:
        """Bring the phase into `folder`, in the place of what an unfinished try left there. What says that it is done comes last,
        so that a kill in between leaves it to be done again. Raises SaveFailed."""
        try:
            *others, last = phase.leaves
            for leaf in others:
                _bring_leaf(origin, leaf, folder)
            self.note(phase, origin, folder)
            _bring_leaf(origin, last, folder)
        except OSError as error:
            raise SaveFailed(
                f"could not take {phase.name} from {origin.folder} into {folder}: {why_refused(error)}; the same command goes "
                "on, and with share=false does it by itself"
            ) from error

    def note(self, phase: SharedPhase, origin: Origin, folder: Path) -> None:
        """Where the phase comes from, and the time that it took there. Raises SaveFailed."""
        Journal(folder / TIMES).append([row | {"from": origin.folder.name} for row in origin.times])
        said = {"from": str(origin.folder), "phase": phase.key, "when": now()}
        write_json(folder / NOTES, notes_of(folder) | {phase.name: said})

    def _origins(self, phase: SharedPhase) -> Iterator[Origin]:
        path = self.entry(phase)
        if not path.is_file():
            return
        try:
            rows = read_json(path)["runs"]
            origins = [
                Origin(self.outputs / r["run"], {k: tuple(v) for k, v in r["files"].items()}, r["times"]) for r in rows
            ]
        except (BadData, KeyError, TypeError, ValueError, AttributeError):
            return  # a damaged entry is none; the next run that has the phase writes it anew
        yield from origins


def notes_of(folder: Path) -> dict[str, Any]:
    """What a run took from others: {phase: {"from", "phase", "when"}}. Raises BadData for a damaged file."""
    return dict(read_json(folder / NOTES)) if (folder / NOTES).is_file() else {}


def forget_note(folder: Path, phase: SharedPhase) -> None:
    """The run makes the phase itself after all: a kill had stopped it while it took it from another."""
    notes = notes_of(folder)
    if notes.pop(phase.name, None):
        write_json(folder / NOTES, notes)


def _bring_leaf(origin: Origin, leaf: str, folder: Path) -> None:
    if (origin.folder / leaf).is_dir():
        with atomic_folder(folder / leaf) as draft:
            for name in _listed(origin.folder / leaf, [""]):
                _bring(origin.folder / leaf / name, draft / name)
    elif leaf in origin.files:
        _bring(origin.folder / leaf, folder / leaf)


def _bring(source: Path, target: Path) -> None:
    """The file appears under its name whole, or not at all. A link (to a part of an editor that training left alone) stays one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(target)
    draft.unlink(missing_ok=True)
    if source.is_symlink():
        draft.symlink_to(source.resolve())
    elif source.suffix == ".jsonl":  # a journal may be appended to
        shutil.copy2(source, draft)
    else:
        try:
            os.link(source, draft)
        except OSError:  # another disk, or a file system without links
            shutil.copy2(source, draft)
    if target.exists() and target.samefile(draft):  # renaming one link to another of the same file does nothing
        draft.unlink()
        return
    os.replace(draft, target)


def _listed(folder: Path, leaves: Any) -> list[str]:
    """The files of these files and folders, as paths within `folder`; drafts that a kill left are none."""
    names = []
    for leaf in leaves:
        place = folder / leaf
        found = sorted(p for p in place.rglob("*") if _single(p)) if place.is_dir() else [place]
        names += [str(p.relative_to(folder)) for p in found if _single(p) and not p.name.endswith(".part")]
    return names


def _single(path: Path) -> bool:
    """A file, or a link to whatever is there."""
    return path.is_file() or (path.is_symlink() and path.exists())


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


__all__ = ["NOTES", "SHARED", "Origin", "Store", "forget_note", "notes_of"]
