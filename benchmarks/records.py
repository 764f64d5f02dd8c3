"""Benchmarks in JSON files: a file is read whole, each record is checked where it is used, pictures lie in folders beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.item import Card
from benchmarks.pictures import PictureFile
from benchmarks.values import path_in, shown
from common.errors import BadData, BadInput, MissingFile

_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


@dataclass(frozen=True)
class JsonRecord:
    """One JSON object. `where` names its file and key in every message."""

    row: Mapping[str, Any]
    where: str
    card: Card

    def text(self, *names: str) -> str:
        """The first of these fields that is there and not empty; BadData where none is."""
        text = self.text_or_none(*names)
        if text is None:
            fields = ", ".join(self.row)
            raise BadData(
                f"{self.card.name}: {self.where} has no {' or '.join(map(repr, names))}; it has {fields}. "
                f"How to get it: {self.card.get}"
            )
        return text

    def text_or_none(self, *names: str) -> str | None:
        """As `text`, None where none is there. A list of one text counts as that text."""
        for name in names:
            value = self.row.get(name)
            if isinstance(value, list) and len(value) == 1:
                value = value[0]
            if value is None or value == "" or value != value:  # NaN is how a table writes an absent text
                continue
            if not isinstance(value, str):
                raise BadData(f"{self.card.name}: {self.where}: {name!r} should be text but is {shown(value)}")
            return value
        return None

    def flag(self, name: str) -> bool:
        """True or false; absent and null are false, "True" and 1 are true."""
        value = self.row.get(name)
        if value is None or value != value:
            return False
        flag = _FLAGS.get(str(value).strip().lower())
        if flag is None:
            raise BadData(f"{self.card.name}: {self.where}: {name!r} should be true or false but is {shown(value)}")
        return flag


def read_json(file: Path, card: Card) -> Any:
    """What a JSON file holds. Raises MissingFile, BadData."""
    try:
        return json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise MissingFile(
            f"{card.name}: {file} cannot be read ({error.strerror}). How to get it: {card.get}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadData(f"{card.name}: {file} is no JSON file ({error}). How to get it: {card.get}") from error


def records(file: Path, card: Card) -> list[tuple[str, JsonRecord]]:
    """(key, record) of a file that holds {key: {...}} or [{...}]; the key of a list is the place, counted from 0."""
    whole = read_json(file, card)
    if not isinstance(whole, dict | list) or not whole:
        raise BadData(f"{card.name}: {file} should hold an object or a list of records. How to get it: {card.get}")
    pairs = whole.items() if isinstance(whole, dict) else ((str(i), row) for i, row in enumerate(whole))
    rows = []
    for key, row in pairs:
        where = f"{file}, record {key!r}"
        if not isinstance(row, dict):
            raise BadData(f"{card.name}: {where} should be an object but is {type(row).__name__}")
        rows.append((key, JsonRecord(row, where, card)))
    return rows


def root_of(card: Card, path: str | None) -> Path:
    """The folder of a benchmark that is read from a folder only; MissingFile says how to get it."""
    if not path:
        raise MissingFile(f"{card.name} needs its data: give benchmark.path=<folder>. How to get it: {card.get}")
    root = Path(path).expanduser()
    if not root.exists():
        raise MissingFile(f"{card.name}: there is nothing at {root}. How to get it: {card.get}")
    return root


def first_file(card: Card, root: Path, names: Sequence[str]) -> Path:
    """The first of these files that is there, below `root`; `root` itself where it is a file."""
    if root.is_file():
        return root
    for name in names:
        if (root / name).is_file():
            return root / name
    raise MissingFile(f"{card.name}: {root} holds none of {', '.join(names)}. How to get it: {card.get}")


def find_picture(record: JsonRecord, name: str, folders: Iterable[Path]) -> PictureFile:
    """The picture `name` in the first folder that has it. Raises MissingFile naming it and where it was looked for."""
    path_in(name, f"{record.card.name}: {record.where}")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise BadInput(f"{record.card.name}: {record.where}: the picture {name!r} leads out of the data's folder")
    folders = list(dict.fromkeys(folders))
    for folder in folders:
        if (folder / name).is_file():
            return PictureFile(folder / name, record.where)
    raise MissingFile(
        f"{record.card.name}: {record.where}: there is no picture {name!r} in {', '.join(map(str, folders))}. "
        f"How to get it: {record.card.get}"
    )


__all__ = ["JsonRecord", "find_picture", "first_file", "read_json", "records", "root_of"]
