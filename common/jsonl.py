"""Append-only JSON lines without duplicates after a resume: rows after the checkpoint's step are cut off."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from common.atomic import atomic_file
from common.errors import BadData, MissingFile, SaveFailed


class Journal:
    """One jsonl file whose rows carry "step". The file is opened for each write, so a kill loses at most the row being written."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows in one go. Raises SaveFailed when the disk refuses; what was written before stays."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as f:
                f.write(text)
        except OSError as e:
            raise SaveFailed(
                f"could not append to {self.path}: {e.strerror or e}. Free space and start the run again"
            ) from e

    def cut_after(self, step: int) -> None:
        """Keep rows whose "step" is at most `step` (rows without one stay); a half-written last line goes too."""
        if not self.path.exists():
            return
        lines = [json.dumps(r, ensure_ascii=False) + "\n" for r in read_jsonl(self.path) if r.get("step", 0) <= step]
        with atomic_file(self.path) as file:
            file.write("".join(lines).encode())

    def flush(self) -> None:
        """Ask the system to put the rows on the disk, so that a checkpoint never outlives the rows before it."""
        if self.path.exists():
            with self.path.open("rb") as f:
                os.fsync(f.fileno())


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """All rows of a jsonl file. A broken end (half a line, or bytes that a crash of the machine left) is dropped; a broken line
    before a whole one is BadData naming file and line; an absent file is MissingFile."""
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no such file: {path}")
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as e:
            if not any(_is_row(rest) for rest in lines[number:]):
                break
            raise BadData(f"{path}, line {number}: not JSON ({e.msg}); remove the line") from e
        if not isinstance(row, dict):
            raise BadData(f"{path}, line {number}: a row must be a JSON object, not {type(row).__name__}")
        rows.append(row)
    return rows


def _is_row(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


__all__ = ["Journal", "read_jsonl"]
