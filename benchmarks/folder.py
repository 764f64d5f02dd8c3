"""`folder`: one's own pictures and a CSV or JSONL of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.item import Benchmark, Card, Item, Unit
from benchmarks.listed import ListedBenchmark
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.pictures import PictureFile
from benchmarks.rows import read_rows
from benchmarks.sampling import describe_sampling, sample_ids
from benchmarks.values import path_in, shown
from common.errors import BadData, BadInput, MissingFile

CARD = Card(
    name="folder",
    title="One’s own pictures",
    source="",
    paper="",
    licence="not stated",
    split="",
    size="as many rows as the file has",
    sampling="all requests",
    get=(
        "give benchmark.path=<a CSV or JSONL file, or a folder with one> with the columns image (a path relative to the file) "
        "and instruction, and if wanted id, kind, reference, mask, session, turn"
    ),
)
_COLUMNS = ("image", "instruction", "id", "kind", "reference", "mask", "session", "turn")
_ENDINGS = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True)
class _Row:
    line: int
    id: str
    instruction: str
    kind: str
    image: PictureFile | None  # None: a later turn that goes on with what the turn before left
    reference: PictureFile | None
    mask: PictureFile | None
    session: str
    turn: int | None


def load(options: BenchmarkOptions) -> Benchmark:
    """The requests of a file in its order; rows of one session are one unit, ordered by `turn` (or as they stand).

    A later turn without a picture of its own gets the session's first. Options: path, samples (units), seed.
    Raises MissingFile, BadInput, BadData naming file and line.
    """
    file = find_file(options.path)
    rows = [_row(file, line, values) for line, values in read_rows(file)]
    units: dict[str, list[_Row]] = {}
    for row in rows:
        units.setdefault(f"session {row.session}" if row.session else f"line {row.line}", []).append(row)
    stems = Counter(row.image.path.stem for row in rows if row.image and not row.session)
    taken_ids = {row.id for row in rows if row.id}
    shared = {stem for stem, count in stems.items() if count > 1 or stem in taken_ids}
    ordered = [_ordered(file, unit, shared) for unit in units.values()]
    _distinct(file, ordered)
    taken = [ordered[i] for i in sample_ids(len(ordered), options.samples, options.seed)]
    what = "requests" if len(ordered) == len(rows) else "units (sessions and single requests)"
    card = replace(
        CARD,
        source=str(file),
        size=f"{len(rows)} requests" + (f" in {len(ordered)} units" if len(ordered) != len(rows) else ""),
        sampling=describe_sampling(options.samples, len(ordered), options.seed, what),
    )
    return ListedBenchmark(card, [unit[0].session or unit[0].id for unit in taken], lambda i: _unit(taken[i]))


def find_file(path: str | None) -> Path:
    """The file of requests that `path` names, or the only one in the folder it names."""
    if not path:
        raise MissingFile(f"folder: no data were given. How: {CARD.get}")
    root = Path(path).expanduser()
    if root.is_file():
        return root
    if not root.is_dir():
        raise MissingFile(f"folder: there is nothing at {root}. How: {CARD.get}")
    files = sorted(f for f in root.iterdir() if f.suffix.lower() in _ENDINGS)
    if not files:
        raise MissingFile(f"folder: no {', '.join(_ENDINGS)} in {root}. How: {CARD.get}")
    if len(files) > 1:
        raise BadInput(
            f"folder: {root} has {len(files)} files of rows ({', '.join(f.name for f in files)}); give one as path"
        )
    return files[0]


def _row(file: Path, line: int, values: Mapping[str, Any]) -> _Row:
    where = f"{file}:{line}"
    if unknown := sorted(set(values) - set(_COLUMNS)):
        raise BadData(f"{where}: unknown column {unknown[0]!r}; the columns are {', '.join(_COLUMNS)}")

    def text(column: str) -> str:
        value = values.get(column)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str if column == "instruction" else str | int):
            raise BadData(f"{where}: {column} should be text but is {shown(value)}")
        return str(value).strip()

    def picture(column: str, mode: str = "RGB") -> PictureFile | None:
        if not (name := text(column)):
            return None
        path = file.parent / path_in(name, f"{where}, column {column!r}")
        if not path.is_file():
            raise MissingFile(f"{where}: {column}: there is no picture {path}")
        return PictureFile(path, f"{where}, column {column}", mode)

    if not text("instruction"):
        raise BadData(f"{where}: instruction is missing; every row needs one")
    turn = text("turn")
    if turn and not turn.isdecimal():
        raise BadData(f"{where}: turn should be a number from 0 but is {shown(turn)}")
    session = text("session")
    if turn and not session:
        raise BadData(f"{where}: turn without a session; name the session whose turn it is")
    return _Row(
        line,
        text("id"),
        text("instruction"),
        text("kind"),
        picture("image"),
        picture("reference"),
        picture("mask", "L"),
        session,
        int(turn) if turn else None,
    )


def _ordered(file: Path, unit: list[_Row], shared: Collection[str]) -> list[_Row]:
    """The rows of a unit by turn, with ids where none were given."""
    turns = [r.turn for r in unit]
    if any(t is not None for t in turns):
        if None in turns:
            bare = next(r for r in unit if r.turn is None)
            raise BadData(f"{file}:{bare.line}: session {bare.session!r} numbers its turns, but not this one")
        unit = sorted(unit, key=lambda r: (r.turn or 0, r.line))
        for one, two in zip(unit, unit[1:], strict=False):
            if one.turn == two.turn:
                raise BadData(
                    f"{file}:{two.line}: turn {two.turn} of session {two.session!r} is there twice (line {one.line})"
                )
    if unit[0].image is None:
        raise BadData(f"{file}:{unit[0].line}: image is missing; every request, and a session's first turn, needs one")
    return [
        replace(r, id=r.id or (f"{r.session}-{k + 1}" if r.session else _by_picture(r, shared)))
        for k, r in enumerate(unit)
    ]


def _by_picture(row: _Row, shared: Collection[str]) -> str:
    """The picture's own name, so that results are found again; with the line where several rows have pictures of that name."""
    assert row.image is not None
    stem = row.image.path.stem
    return f"{stem}-{row.line:05d}" if stem in shared else stem


def _distinct(file: Path, units: list[list[_Row]]) -> None:
    seen: dict[str, int] = {}
    for row in sorted((r for unit in units for r in unit), key=lambda r: r.line):
        if row.id in seen:
            raise BadData(f"{file}:{row.line}: id {row.id!r} is there already, in line {seen[row.id]}")
        seen[row.id] = row.line


def _unit(rows: list[_Row]) -> Unit:
    return tuple(
        Item(
            row.id,
            row.instruction,
            (),
            row.kind,
            tuple(r.instruction for r in rows[:k]),
            source=row.image or rows[0].image,
            reference=row.reference,
            mask=row.mask,
            session=row.session,
            turn=k,
            facts={"line": row.line},
        )
        for k, row in enumerate(rows)
    )


class Folder(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "find_file", "load", "Folder"]
