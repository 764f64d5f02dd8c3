"""Preference data that are published as one JSON document: its rows, and values of them, with the place each came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.item import Card
from benchmarks.pictures import PictureFile
from benchmarks.rows import check_table, read_rows
from benchmarks.values import path_in, shown
from common.errors import BadData, MissingFile

Row = Mapping[str, Any]


def read_document(card: Card, file: Path, key: str = "") -> list[tuple[str, Row]]:
    """(place for a message, row) of a JSON list of objects, of the list under `key` of a JSON object, or of JSON lines.

    Raises MissingFile, BadData naming file and row.
    """
    if not file.is_file():
        raise MissingFile(f"{card.name}: there is no file {file}. How to get it: {card.get}")
    check_table(file)  # names the line of what is no JSON
    if file.suffix.lower() == ".jsonl":
        return [(f"{card.name}: {file}:{line}", row) for line, row in read_rows(file)]
    try:
        value = json.loads(file.read_bytes().decode("utf-8-sig"))
    except ValueError as error:  # lines that are objects are no document
        raise BadData(f"{card.name}: {file}: every line is an object of its own; call such a file .jsonl") from error
    if key and isinstance(value, dict):
        if key not in value:
            raise BadData(
                f"{card.name}: {file} has no key {key!r}; it has {', '.join(value)}. How to get it: {card.get}"
            )
        value = value[key]
    if not isinstance(value, list) or not value:
        raise BadData(f"{card.name}: {file}: expected a list of rows, found {shown(value)}. How to get it: {card.get}")
    rows = [(f"{card.name}: {file}, row {i}", row) for i, row in enumerate(value)]
    for where, row in rows:
        if not isinstance(row, dict):
            raise BadData(f"{where}: expected an object, found {shown(row)}")
    return rows


def text_of(row: Row, key: str, where: str, *also: str) -> str:
    """The text under `key`, or under one of its other names. Raises BadData where there is none."""
    names = [name for name in (key, *also) if name in row]
    if not names:
        raise BadData(f"{where}: there is no key {key!r}; the row has {', '.join(row)}")
    value = row[names[0]]
    if not isinstance(value, str) or not value.strip():
        raise BadData(f"{where}, key {names[0]!r}: expected text, found {shown(value)}")
    return value


def one_of(row: Row, key: str, where: str, values: Mapping[str, Any]) -> Any:
    """What the text under `key` stands for. Raises BadData with the list."""
    value = text_of(row, key, where)
    if value not in values:
        raise BadData(f"{where}, key {key!r}: expected one of {', '.join(values)}, found {shown(value)}")
    return values[value]


def picture_of(card: Card, file: Path, name: Any, where: str) -> PictureFile:
    """The picture that a row of `file` names, beside it. Raises BadData for what is no path, MissingFile."""
    if not isinstance(name, str) or not name.strip():
        raise BadData(f"{where}: expected the path of a picture, found {shown(name)}")
    path = file.parent / path_in(name, where)
    if not path.is_file():
        raise MissingFile(f"{where}: there is no picture {path}. How to get it: {card.get}")
    return PictureFile(path, where)


__all__ = ["Row", "one_of", "picture_of", "read_document", "text_of"]
