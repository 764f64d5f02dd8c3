"""The published records of MICE-Bench (Edit-R2, arXiv 2606.05950): where they lie, what a line holds, and which part it is in."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import BadData, MissingFile

ENV = "IMAGEEDIT_DATA"
SPLITS = ("train", "validation", "test", "all")
CATEGORIES = ("cm", "cu")
_SOURCE = (
    "The records are published at github.com/yuxiaooye/Edit-R2, folder dataset/ (no licence is stated): save them as "
    f"cm_*.jsonl and cu_*.jsonl in a folder and give it as benchmark.path=<folder> or in the variable {ENV}"
)
ORIGIN, SANDBOX = "origin", "sandbox"  # a key of the sandbox's own records (benchmarks/sandbox/mice_export.py)
_RULE = re.compile(r"(?s)\A\s*(.+?)\s*With this rule active,")


@dataclass(frozen=True)
class MiceRecord:
    """One line of a file: its category, where it stood, and the three parallel lists; `row` is the line whole."""

    category: str
    stem: str
    line: int
    instruction: tuple[str, ...]
    task_type: tuple[str, ...]
    formatted: tuple[str, ...]
    row: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def id(self) -> str:
        return f"{self.category}-{self.stem}-{self.line:05d}"

    @property
    def rule(self) -> str | None:
        """The lasting rule said in turn 1."""
        return rule_of(self.instruction[0])

    @property
    def key(self) -> str:
        """The words of turn 1 as a hash. Sessions that begin alike land in the same part, so that no prompt (history
        and request) of one part occurs in another; with the whole session hashed, many would."""
        return hashlib.sha256(" ".join(self.instruction[0].split()).encode("utf-8", "surrogatepass")).hexdigest()


def from_sandbox(records: Sequence[MiceRecord]) -> bool:
    """Whether these are the sandbox's own sessions in MICE's format: each says so, or lies in a file that is named so."""
    return bool(records) and all(r.row.get(ORIGIN) == SANDBOX or SANDBOX in r.stem.lower() for r in records)


def rule_of(request: str) -> str | None:
    """The lasting rule in turn 1 of a CM session; None in any other text."""
    match = _RULE.match(request)
    return match[1] if match else None


def without_rule(request: str) -> str:
    """What turn 1 of a CM session says besides the lasting rule; any other text as it is."""
    return _RULE.sub("", request).strip()


def part_of(key: str) -> str:
    """train, validation or test for a session's hash: 80, 5 and 15 of 100."""
    place = int(key, 16) % 100
    return "train" if place < 80 else "validation" if place < 85 else "test"


def published_test(records: Sequence[MiceRecord]) -> frozenset[str]:
    """Sessions of files named "test": where there are others too, nobody should train on these, whatever their hash."""
    test = {r.key for r in records if "test" in r.stem.lower()}
    return frozenset() if all("test" in r.stem.lower() for r in records) else frozenset(test)


def find_folder(path: str | os.PathLike[str] | None = None) -> Path:
    """The folder (or single file) with the records, from `path` or the environment; MissingFile says how to get it."""
    given = path if path not in (None, "") else os.environ.get(ENV, "")
    if not given:
        raise MissingFile(f"MICE-Bench's records are needed and no path was given. {_SOURCE}.")
    root = Path(given).expanduser()
    if not root.exists():
        raise MissingFile(f"mice_text: there is nothing at {root}. {_SOURCE}.")
    if root.is_file():
        return root
    for folder in (root, root / "mice_bench", root / "dataset"):
        if _files(folder):
            return folder
    raise MissingFile(f"mice_text: no *.jsonl in {root} (nor in its mice_bench/, cm/, cu/). {_SOURCE}.")


def read_records(folder: Path) -> list[MiceRecord]:
    """All records of `find_folder`'s folder, in a fixed order; BadData names file and line of the first bad one."""
    return [r for file, category in _files(folder) for r in _records(file, category)]


def _files(folder: Path) -> list[tuple[Path, str]]:
    """(file, category or "") in a fixed order; cm/ and cu/ below the folder is how the records are published."""
    if folder.is_file():
        return [(folder, _category_of(folder.name))]
    here = [(f, _category_of(f.name)) for f in sorted(folder.glob("*.jsonl"))]
    below = [(f, c) for c in CATEGORIES for f in sorted((folder / c).glob("*.jsonl"))]
    return here + below


def _category_of(name: str) -> str:
    return next((c for c in CATEGORIES if name.lower().startswith(c)), "")


def _records(file: Path, category: str) -> Iterator[MiceRecord]:
    try:
        lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")  # not splitlines: U+2028 is no line end
    except OSError as error:
        raise MissingFile(f"mice_text: {file} cannot be read ({error}); check its permissions") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _record(line, category, file, number)


def _record(line: bytes, category: str, file: Path, number: int) -> MiceRecord:
    def bad(what: str) -> BadData:
        return BadData(f"{file}:{number}: {what}. Correct or delete this line, or download the file again")

    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise bad(f"not a line of UTF-8 JSON ({error})") from error
    if not isinstance(row, dict):
        raise bad(f"expected a JSON object, found {type(row).__name__}")
    requests, tasks, formatted = (
        _strings(row, key, bad) for key in ("instruction", "task_type", "formatted_instruction")
    )
    if not len(requests) == len(tasks) == len(formatted) or not requests:
        raise bad("instruction, task_type and formatted_instruction must be equally long and not empty")
    if "turns" in row and row["turns"] != len(requests):
        raise bad(f"turns is {row['turns']!r} but there are {len(requests)} instructions")
    guess = "cm" if _RULE.match(requests[0]) else "cu"
    return MiceRecord(category or guess, file.stem, number, requests, tasks, formatted, row)


def _strings(row: Mapping[str, Any], key: str, bad: Any) -> tuple[str, ...]:
    if key not in row:
        raise bad(f"the key {key!r} is missing")
    items = row[key]
    if not isinstance(items, list) or not all(isinstance(i, str) for i in items):
        raise bad(f"{key!r} must be a list of strings")
    return tuple(items)


__all__ = [
    "CATEGORIES",
    "ENV",
    "ORIGIN",
    "SANDBOX",
    "SPLITS",
    "MiceRecord",
    "find_folder",
    "from_sandbox",
    "part_of",
    "published_test",
    "read_records",
    "rule_of",
    "without_rule",
]
