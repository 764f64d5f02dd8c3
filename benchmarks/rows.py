"""Rows of a CSV or JSONL file with the line each came from, so that an error can name it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import BadData, BadInput, MissingFile


def read_rows(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """(line number from 1, row) of every row; empty cells of a CSV are None. UTF-8, with or without a byte order mark.

    Raises MissingFile, BadInput (another ending), BadData naming file and line.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MissingFile(f"{file} cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{file}: not UTF-8 text ({error}); save it as UTF-8") from error
    match file.suffix.lower():
        case ".csv" | ".tsv":
            return list(_csv(file, text, "\t" if file.suffix.lower() == ".tsv" else ","))
        case ".jsonl":
            return list(_jsonl(file, text))
    raise BadInput(f"{file}: expected a name that ends in .csv, .tsv or .jsonl")


def _csv(file: Path, text: str, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    line = 2
    try:
        if reader.fieldnames is None:
            raise BadData(f"{file}: empty; its first line should name the columns")
        for row in reader:
            if None in row or None in row.values():
                raise BadData(f"{file}:{line}: this row has not {len(reader.fieldnames)} cells as the first line has")
            yield line, {str(k).strip(): (v if v.strip() else None) for k, v in row.items()}
            line = reader.line_num + 1  # a quoted cell may span lines; the next row begins after them
    except csv.Error as error:
        raise BadData(f"{file}:{line}: not CSV ({error})") from error


def _jsonl(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise BadData(f"{file}:{line}: not a line of JSON ({error})") from error
        if not isinstance(row, dict):
            raise BadData(f"{file}:{line}: expected a JSON object, found {type(row).__name__}")
        yield line, row


__all__ = ["read_rows"]
