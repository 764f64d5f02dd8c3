"""Rows of a folder that several shards fill: every shard appends to a file of its own, and readers take all files together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from common.errors import SaveFailed
from common.jsonl import read_jsonl
from experiments.evaluation.layout import Key

Row = dict[str, Any]
_JSON = json.JSONEncoder(ensure_ascii=False, default=str)  # made once: `json.dumps` makes one per call


class RowFile:
    """An append-only jsonl that stays open. Rows are handed to the system in one write, so that a kill of the process loses
    none that was appended; only closing forces them to the disk. What a kill left of a line is cut off on opening."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _cut_torn_line(path)
            self._file = path.open("ab", buffering=0)
        except OSError as e:
            raise SaveFailed(f"could not write to {path}: {e.strerror or e}; choose another out=<folder>") from e

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Raises SaveFailed when the disk refuses; what was written before stays."""
        text = "".join(_JSON.encode(row) + "\n" for row in rows)
        data = memoryview(text.encode("utf-8", "replace"))
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as e:
            raise SaveFailed(
                f"could not append to {self.path}: {e.strerror or e}. What was written before is intact; free space, then "
                "the same command goes on"
            ) from e

    def close(self) -> None:
        """Force the rows to the disk. Raises SaveFailed when it refuses."""
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as e:
            raise SaveFailed(
                f"could not write {self.path} to the disk: {e.strerror or e}; free space, then the same command goes on"
            ) from e
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as f:
        end = f.seek(0, os.SEEK_END)
        at = end
        while at:  # back in steps until a line's end is found
            start = max(0, at - 65536)
            f.seek(start)
            cut = f.read(at - start).rfind(b"\n")
            if cut >= 0:
                if start + cut + 1 < end:
                    f.truncate(start + cut + 1)
                return
            at = start
        f.truncate(0)


def key_of(row: Mapping[str, Any]) -> Key:
    return row["unit"], row["turn"]


def fine(row: Mapping[str, Any]) -> bool:
    """Whether an edit left a picture, or a verdict is valid."""
    return bool(row.get("valid", True)) and not row.get("failure")


def read_rows(folder: Path, pattern: str = "*.jsonl") -> dict[Key, Row]:
    """The rows of all shards in the order of their keys. Where an item has several rows, the last one counts, but a row that
    failed never replaces one that did not."""
    rows: dict[Key, Row] = {}
    for path in sorted(folder.glob(pattern)):
        for row in read_jsonl(path):
            key = key_of(row)
            if key not in rows or fine(row) or not fine(rows[key]):
                rows[key] = row
    return dict(sorted(rows.items()))


def fingerprint(folders: Sequence[Path]) -> str:
    """Changes when a row is added anywhere below the folders: names and sizes of append-only files say enough; of the others,
    which are small, the text counts."""
    files = sorted(p for folder in folders for p in folder.glob("**/*.json*") if p.is_file())
    return "\n".join(
        f"{p} {p.stat().st_size if p.suffix == '.jsonl' else p.read_text(encoding='utf-8')}" for p in files
    )


__all__ = ["Row", "RowFile", "fine", "fingerprint", "key_of", "read_rows"]
