"""Rows of a published data set, from a folder or from the Hub: text at once, pictures when they are needed.

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

from benchmarks.item import Card
from benchmarks.local import beside, find
from benchmarks.options import BenchmarkOptions
from benchmarks.pictures import decode, read
from benchmarks.schema import PICTURE, Column, check_schema, check_value, names_in
from benchmarks.sources import Source, fingerprint, from_files, from_hub
from benchmarks.values import not_a_path, shown
from common.errors import BadData, BadInput, MissingFile


def open_table(
    card: Card, options: BenchmarkOptions, columns: Mapping[str, Column], split: str | None = None, files: str = ""
) -> Table:
    """The table of `options` (its path, else its hub) with these columns; `split` overrides the options' and the card's, and
    `files` says which files on the Hub are that split, where listing them all would take long.

    Reads no picture. Raises MissingFile (nothing there, gated, no network), BadInput (no such split), BadData (schema).
    """
    split = split or options.split or card.split
    if options.path:
        source: Source = from_files(card, find(card, options.path, split, options.config))
    elif hub := options.hub or card.source:
        source = from_hub(card, hub, options.config, options.revision, split, files)
    else:
        raise BadInput(f"{card.name} has no Hub id: give benchmark.path. How to get it: {card.get}")
    return Table(card, source, columns)


class Table:
    """Rows in a fixed order. `i` counts the rows of this table, `number(i)` is the row's place in the published split.

    Columns go by our names; `names` says what the data call them. Reading a row opens no picture.
    """

    def __init__(self, card: Card, source: Source, columns: Mapping[str, Column]) -> None:
        check_schema(card, source.where, source.features, columns, source.base is not None)
        self.card, self.where, self._source, self._wanted = card, source.where, source, dict(columns)
        self.names = names_in(source.features, columns)
        self._pictured = [c for c in self.names if columns[c].kind == PICTURE.kind]
        plain = [self.names[c] for c in self.names if c not in self._pictured]
        if not plain:
            raise BadInput(f"{card.name}: a table needs at least one column that is no picture")
        self._text = source.plain(plain)
        self._rows: Sequence[int] = range(len(self._text))
        self._pictures = self._of(self._rows)

    def _of(self, rows: Sequence[int]) -> _Pictures:
        return _Pictures(self._source, [self.names[c] for c in self._pictured], rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def identity(self) -> str:
        """Changes with the content of what is read."""
        return fingerprint(self._source.identity)

    def number(self, i: int) -> int:
        """The place of row i in the published split, counted from 0."""
        return self._rows[i]

    def only(self, rows: Sequence[int]) -> Table:
        """The table of these rows of this one, in the order given. The pictures of others are never fetched."""
        part = object.__new__(Table)
        part.__dict__.update(self.__dict__)
        part._rows = [self._rows[r] for r in rows]
        part._pictures = self._of(part._rows)
        return part

    def check(self) -> Table:
        """This table, if none of its pictures is known to be missing: null, or a path where no file is. What is still to be
        fetched is not looked at. Raises BadData, MissingFile naming row and column.
        """
        for name in self._pictured:
            if self._wanted[name].required and (lost := self._source.lost(self.names[name], self._rows)):
                number, path = lost
                if why := not_a_path(path):
                    raise BadData(f"{self._at(number, name)}: {why}")
                reason = f"{self._at(number, name)}: there is no picture" + (f" {path}" if path else "")
                raise (MissingFile if path else BadData)(f"{reason}. How to get it: {self.card.get}")
        return self

    def column(self, name: str) -> list[Any]:
        """All values of a column without pictures (None everywhere, where an optional one is absent)."""
        if name not in self.names:
            return [None] * len(self)
        values = self._text[self.names[name]][:]  # a list at once; the column by itself reads value by value
        return [self._checked(r, name, values[r]) for r in self._rows]

    def row(self, i: int) -> dict[str, Any]:
        """The values of row i without its pictures; raises BadData naming row and column where one is missing."""
        number = self._rows[i]
        row = self._text[number]
        return {
            name: self._checked(number, name, row.get(self.names.get(name, name)))
            for name, column in self._wanted.items()
            if column.kind != PICTURE.kind
        }

    def picture(self, i: int, column: str, mode: str | None = "RGB") -> TablePicture | None:
        """The picture of row i as an `Opens`, read when it is called; None where an optional column is absent."""
        if column not in self._pictured:
            return None
        return TablePicture(self._pictures, self._rows[i], self.names[column], self.where, mode)

    def needed(self, i: int, column: str, mode: str | None = "RGB") -> TablePicture:
        """As `picture`, of a column that is required."""
        picture = self.picture(i, column, mode)
        if picture is None:
            raise BadInput(f"{self.where}: {column!r} is no picture column of this table, but {self._pictured}")
        return picture

    def listed_picture(self, i: int, column: str, place: int, count: int) -> Image.Image:
        """One of the `count` pictures that a cell of a column of lists holds. Raises BadData, MissingFile naming row and column."""
        at, cells = self._at(self.number(i), column), self.row(i)[column]
        if not isinstance(cells, list) or len(cells) != count:
            found = f"{len(cells)} of them" if isinstance(cells, list) else shown(cells)
            raise BadData(f"{at}: expected {count} pictures, found {found}. How to get it: {self.card.get}")
        return decode(
            encoded(cells[place], self._source.base, f"{at}, picture {place + 1}"), f"{at}, picture {place + 1}"
        )

    def _at(self, number: int, name: str) -> str:
        return f"{self.card.name}: {self.where}, row {number}, column {self.names.get(name, name)!r}"

    def _checked(self, number: int, name: str, value: Any) -> Any:
        return check_value(value, self._wanted[name], self._at(number, name))


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
class TablePicture:
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
        return encoded(self.of.cell(self.row, self.column), self.of.source.base, where)


def encoded(cell: Any, base: Path | None, where: str) -> bytes:
    """The bytes of the picture file that a cell holds or names. Raises BadData, MissingFile naming `where`."""
    if isinstance(cell, bytes) and cell:
        return cell
    path = cell
    if isinstance(cell, Mapping):
        if cell.get("bytes"):
            return bytes(cell["bytes"])
        path = cell.get("path")
    if not path:
        raise BadData(f"{where}: there is no picture")
    if why := not_a_path(str(path)):
        raise BadData(f"{where}: {why}")
    return read(beside(base, path) if base is not None else Path(path), where)


__all__ = ["TablePicture", "Table", "open_table"]
