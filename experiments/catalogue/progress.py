"""How far a run is, from the rows it has written: the youngest journal of a training or file of an evaluation tells the phase."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TAIL = 1 << 16  # bytes in which the last row of a journal lies
TRAININGS = {  # journals with a row for each step: pattern -> (phase, key with the number of steps)
    "metrics.jsonl": ("training", "algo.steps"),
    "sft.jsonl": ("supervised", "algo.sft.steps"),
    "intent.jsonl": ("intents", "intent.sft.steps"),
    "rrm-*.jsonl": ("reward model {stem}", "rrm.sft.steps"),
    "gcpo.jsonl": ("gcpo", "rrm.gcpo.steps"),
    "sessions/*/metrics.jsonl": ("sessions {parent}", "algo.steps"),
}
ROWS = {  # files with a row for each sample: pattern -> phase
    "*/decompositions/*/*.jsonl": "decompositions {parent}",
    "*/drawn/*/*.jsonl": "drawn answers",
    "*/edits/*/*.jsonl": "edits {parent}",
    "*/verdicts/*/*/*.jsonl": "verdicts {parent}",
    "budgets.jsonl": "budgets",
    "*-scores.jsonl": "{stem}",
}
NO_JOURNAL = ("-rows.jsonl", "-scores.jsonl")  # endings of other files


@dataclass(frozen=True)
class Progress:
    """`done` of `total` steps or rows; total 0: unknown."""

    phase: str
    done: int
    total: int = 0

    def __str__(self) -> str:
        return f"{self.phase} {self.done}/{self.total}" if self.total else f"{self.phase} {self.done}"


def progress_of(folder: Path, config: Mapping[str, Any]) -> Progress | None:
    """What was written last; None before anything was."""
    youngest = max(_trainings(folder), key=lambda found: _written(found[0]), default=None)
    files = list(_files_of_rows(folder))
    row = max(files, key=lambda found: _written(found[0]), default=None)
    if youngest is not None and (row is None or _written(youngest[0]) > _written(row[0])):
        path, phase, key = youngest
        return Progress(phase, _last_step(path), _whole(config.get(key)))
    if row is None:
        return None
    same = [path for path, phase in files if phase == row[1]]  # one file for each shard
    total = _whole(config.get("scale.test_samples")) if "/" in str(row[0].relative_to(folder)) else 0
    return Progress(row[1], sum(map(_lines, same)), 0 if row[1].endswith(", complex") else total)


def _trainings(folder: Path) -> Iterator[tuple[Path, str, str]]:
    for pattern, (phase, key) in TRAININGS.items():
        for path in folder.glob(pattern):
            if not path.name.endswith(NO_JOURNAL):
                stem = path.stem.partition("-")[2]
                yield path, phase.format(stem=stem, parent=path.parent.name), key


def _files_of_rows(folder: Path) -> Iterator[tuple[Path, str]]:
    for pattern, phase in ROWS.items():
        for path in folder.glob(pattern):
            benchmark = path.relative_to(folder).parts[0]
            beside = ", complex" if benchmark.endswith("_complex") else ""
            yield path, phase.format(stem=path.stem.replace("-", " "), parent=path.parent.name) + beside


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns


def _last_step(path: Path) -> int:
    """The "step" of the last whole row; 0 before there is one."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = file.read().splitlines()
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue  # torn by a kill, or the part of a row with which the tail begins
    return 0


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


__all__ = ["Progress", "progress_of"]
