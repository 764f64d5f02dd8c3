"""Rows of a published data set: text at once, pictures when they are looked at, from a folder or from the Hub.

A data set on the Hub, and local parquet, CSV and JSON, are streamed: the columns without pictures of the whole split
first, then the pictures of the rows that are really used, and no other split. What was streamed is kept as Arrow in the
cache of `datasets`, under the commit and the rows, so the next run reads it from there. `save_to_disk` folders and Arrow files are
memory-mapped in place. Either way a row costs no more than itself, whatever the size of the whole.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.errors import BadData, BadInput
from benchmarks.item import Card
from benchmarks.local import find
from benchmarks.options import Options
from benchmarks.pictures import decode, read
from benchmarks.schema import PICTURE, Column, check_schema, check_value
from benchmarks.sources import Source, from_files, from_hub


def open_table(card: Card, options: Options, columns: Mapping[str, Column], split: str | None = None) -> Table:
    """The table of `options` (its path, else its hub) with these columns; `split` overrides the options' and the card's.

    Reads no picture. Raises MissingFile (nothing there, gated, no network), BadInput (no such split), BadData (schema).
    """
    split = split or options.split or card.split
    if options.path:
        source: Source = from_files(card, find(card, options.path, split, options.config))
    elif hub := options.hub or card.source:
        source = from_hub(card, hub, options.config, options.revision, split)
    else:
        raise BadInput(f"{card.name} has no Hub id: give benchmark.path. How to get it: {card.get}")
    return Table(card, source, columns)


class Table:
    """Rows in a fixed order. `i` counts the rows of this table, `number(i)` is the row's place in the published split."""

    def __init__(self, card: Card, source: Source, columns: Mapping[str, Column]) -> None:
        check_schema(card, source.where, source.features, columns, source.base is not None)
        self.card, self.where, self._source, self._wanted = card, source.where, source, dict(columns)
        self.columns = tuple(c for c in columns if c in source.features)
        self._pictured = [c for c in self.columns if columns[c].kind == PICTURE.kind]
        self._plain = [c for c in self.columns if columns[c].kind != PICTURE.kind]
        self._text = source.plain(self._plain)
        self._rows: Sequence[int] = range(len(self._text))
        self._pictures: _Pictures = _Pictures(source, self._pictured, self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def number(self, i: int) -> int:
        """The place of row i in the published split, counted from 0."""
        return self._rows[i]

    def only(self, rows: Sequence[int]) -> Table:
        """The table of these rows of this one, in the order given. What is not in it is never fetched."""
        part = object.__new__(Table)
        part.__dict__.update(self.__dict__)
        part._rows = [self._rows[r] for r in rows]
        part._pictures = _Pictures(self._source, self._pictured, part._rows)
        return part

    def column(self, name: str) -> list[Any]:
        """All values of a column without pictures (None everywhere, where an optional one is absent)."""
        if name not in self.columns:
            return [None] * len(self)
        values = self._text[name]
        return [self._checked(r, name, values[r]) for r in self._rows]

    def row(self, i: int) -> dict[str, Any]:
        """The values of row i without its pictures; raises BadData naming row and column where one is missing."""
        number = self._rows[i]
        found = self._text[number] if self._plain else {}
        return {
            name: self._checked(number, name, found.get(name))
            for name in self._wanted
            if name in self._plain or name not in self.columns
        }

    def picture(self, i: int, column: str, mode: str | None = "RGB") -> Picture | None:
        """The picture of row i as an `Opens`, read when it is called; None where an optional column is absent."""
        if column not in self._pictured:
            return None
        return Picture(self._pictures, self._rows[i], column, self.where, mode)

    def needed(self, i: int, column: str, mode: str | None = "RGB") -> Picture:
        """As `picture`, of a column that is required."""
        found = self.picture(i, column, mode)
        if found is None:
            raise BadInput(f"{self.where}: {column!r} is no picture column of this table, but {self._pictured}")
        return found

    def at(self, i: int) -> str:
        """Where row i is, for messages."""
        return f"{self.where}, row {self._rows[i]}"

    def _checked(self, number: int, name: str, value: Any) -> Any:
        column = self._wanted[name]
        return check_value(value, column, f"{self.where}, row {number}, column {name!r}", self.card)


class _Pictures:
    """The pictures of some rows, fetched together when the first of them is opened."""

    def __init__(self, source: Source, columns: Sequence[str], rows: Sequence[int]) -> None:
        self.source, self.columns = source, list(columns)
        self.kept = rows if isinstance(rows, range) else sorted(set(rows))
        self._tables: dict[str, Any] = {}
        self._lock = threading.Lock()  # an evaluation opens pictures from many threads
        self._places: dict[int, int] = {}

    def cell(self, row: int, column: str) -> Any:
        with self._lock:
            if not self._tables:
                self._places = {r: p for p, r in enumerate(self.kept)}
                whole = self.source.pictures(self.columns, self.kept)
                self._tables = {c: whole.select_columns([c]) for c in self.columns}  # so that one column is read alone
        return self._tables[column][self._places[row]][column]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """One picture of a table (an `Opens`). Raises BadData, MissingFile naming row and column."""

    of: _Pictures
    row: int  # in the published split
    column: str
    where: str
    mode: str | None = "RGB"

    def __call__(self) -> Image.Image:
        where = f"{self.where}, row {self.row}, column {self.column!r}"
        return decode(self.encoded(), where, self.mode)

    def encoded(self) -> bytes:
        """The bytes of the picture's file."""
        where = f"{self.where}, row {self.row}, column {self.column!r}"
        cell = self.of.cell(self.row, self.column)
        if isinstance(cell, bytes) and cell:
            return cell
        path = cell
        if isinstance(cell, Mapping):
            if cell.get("bytes"):
                return bytes(cell["bytes"])
            path = cell.get("path")
        if not path:
            raise BadData(f"{where}: there is no picture")
        found = Path(path).expanduser()
        base = self.of.source.base
        return read(found if found.is_absolute() or base is None else base / found, where)


__all__ = ["Picture", "Table", "open_table"]
