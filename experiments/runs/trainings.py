"""The trainings of a run, one after the other: their journals, and how many steps of the run there were before each.

A job may have several (a supervised start and GRPO; three cold starts, GCPO and Flow-GRPO), each counting its steps from 1. So
that a tracker can put all of them in one record, each row has a training and a place in the run: `first` + its step.
`trainings.json` in the run's folder notes them as they begin. A run of an older version has none: its journals are then those
of the supervised start and of the main training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from common.errors import BadData, MissingFile
from common.files import read_json, write_json
from common.jsonl import read_jsonl

FILE = "trainings.json"
OLDER = ("sft.jsonl", "metrics.jsonl")  # of a run without the file, in the order in which they were written


@dataclass(frozen=True)
class Training:
    """`journal`: in the run's folder. `first`: steps of the run before this training."""

    journal: str
    first: int

    @property
    def name(self) -> str:
        """Empty for the main training of a run."""
        path = PurePosixPath(self.journal)
        return path.parent.name if path.stem == "metrics" else path.stem


def trainings(folder: Path) -> list[Training]:
    """Those that have begun, in their order. Raises BadData for a file that is none of ours."""
    path = folder / FILE
    if path.is_file():
        try:
            return [Training(**row) for row in read_json(path)]
        except TypeError as error:
            raise BadData(f"{path} is no list of trainings; delete it, and the same command goes on") from error
    found: list[Training] = []
    for journal in OLDER:
        if (folder / journal).is_file():
            found.append(Training(journal, _end(folder, found)))
    return found


def begin(folder: Path, journal: str) -> Training:
    """Note a training that begins or goes on; those before it are over."""
    known = trainings(folder)
    for training in known:
        if training.journal == journal:
            return training
    new = Training(journal, _end(folder, known))
    write_json(folder / FILE, [asdict(t) for t in (*known, new)])
    return new


def rows_of(folder: Path, training: Training) -> Iterator[dict[str, Any]]:
    """The steps that its journal has, which is nothing where it cannot be read: the training itself says what is wrong with it."""
    try:
        rows = read_jsonl(folder / training.journal)
    except (MissingFile, BadData):
        return
    yield from (row for row in rows if "step" in row)


def _end(folder: Path, known: list[Training]) -> int:
    if not known:
        return 0
    last = max((int(row["step"]) for row in rows_of(folder, known[-1])), default=0)
    return known[-1].first + last


__all__ = ["FILE", "Training", "begin", "rows_of", "trainings"]
