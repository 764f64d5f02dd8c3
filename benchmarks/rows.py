"""Rows of a CSV or JSONL file with the line each came from, so that an error can name it.

Lines end where the format says so (line feed, carriage return), never at U+2028, U+0085 or a form feed, which are text.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import BadData, BadInput, MissingFile

csv.field_size_limit(2**31 - 1)  # a cell that is too long for what it should be is refused where its column is known

Row = tuple[int, dict[str, Any]]


def read_rows(file: Path) -> list[Row]:
    """(line number from 1, row) of every row; empty cells of a CSV are None. UTF-8, with or without a byte order mark.

    Raises MissingFile, BadInput (another ending), BadData naming file, line and column.
    """
    kind = file.suffix.lower()
    if kind not in (".csv", ".tsv", ".jsonl"):
        raise BadInput(f"{file}: expected a name that ends in .csv, .tsv or .jsonl")
    rows = list(_read(file, kind))
    if not rows:
        raise BadData(f"{file}: no rows below the first line, so nothing is left")
    return rows


def check_table(file: Path) -> None:
    """BadData naming file, line and column for a CSV, JSON, JSONL or parquet file that `datasets` would misread without a word, or
    refuse without naming the place: empty files, two columns of one name, rows of too many cells, what is no JSON.

    Other endings are left alone. Raises MissingFile.
    """
    kind = file.suffix.lower()
    if kind == ".csv":
        rows = sum(1 for _ in _read(file, kind, lenient=True))
    elif kind == ".jsonl" or (kind == ".json" and not _one_document(file)):
        rows = sum(1 for _ in _read(file, ".jsonl"))
    elif kind == ".parquet":
        rows = _parquet(file)
    else:
        return
    if not rows:
        raise BadData(f"{file}: no rows below the first line, so nothing is left")


def _read(file: Path, kind: str, lenient: bool = False) -> Iterator[Row]:
    try:
        with file.open(encoding="utf-8-sig", newline="" if kind != ".jsonl" else "\n") as lines:
            if kind == ".jsonl":
                yield from _jsonl(file, lines)
            else:
                yield from _csv(file, lines, "\t" if kind == ".tsv" else ",", lenient)
    except OSError as error:
        raise MissingFile(f"{file} cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{file}: not UTF-8 text ({error}); save it as UTF-8") from error


def _csv(file: Path, lines: Iterable[str], delimiter: str, lenient: bool) -> Iterator[Row]:
    """`lenient`: as pandas reads it, with rows of too few cells and loose quotes."""
    reader = csv.reader(lines, delimiter=delimiter, strict=not lenient)
    line, head = 1, None
    try:
        for cells in reader:
            if not cells:
                pass  # an empty line
            elif head is None:
                head = _head(file, line, cells)
            else:
                if len(cells) > len(head) or (len(cells) < len(head) and not lenient):
                    raise BadData(
                        f"{file}:{line}: this row has not {len(head)} cells as the first line has ({', '.join(head)}), but "
                        f"{len(cells)}; is there a comma too many or too few, or a cell without its quotes?"
                    )
                yield line, {name: (cell if cell.strip() else None) for name, cell in zip(head, cells, strict=False)}
            line = reader.line_num + 1  # a quoted cell may span lines; the next row begins after them
    except csv.Error as error:
        raise BadData(f"{file}:{line}: not CSV ({error})") from error
    if head is None:
        raise BadData(f"{file}: it is empty; its first line should name the columns")


def _head(file: Path, line: int, cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        where = f"{file}:{line}" if line else str(file)
        raise BadData(f"{where}: {count} columns are called {name!r}; rename or delete all but one")
    return names


def _jsonl(file: Path, lines: Iterable[str]) -> Iterator[Row]:
    seen = False
    for line, content in enumerate(lines, 1):
        if not content.strip():
            continue
        seen = True
        try:
            row = json.loads(content, object_pairs_hook=_distinct)
        except json.JSONDecodeError as error:
            if error.msg == "Extra data" and content.strip().endswith(","):
                raise BadData(
                    f"{file}:{line}: a comma follows the object (character {error.pos + 1}); where every line is one object, no "
                    "commas stand between the lines"
                ) from error
            raise BadData(f"{file}:{line}: not a line of JSON ({error.msg} at character {error.pos + 1})") from error
        except (ValueError, RecursionError) as error:
            raise BadData(f"{file}:{line}: {error}") from error
        if not isinstance(row, dict):
            raise BadData(f"{file}:{line}: expected a JSON object, found {type(row).__name__}")
        yield line, row
    if not seen:
        raise BadData(f"{file}: it is empty; every line should be a JSON object")


def _one_document(file: Path) -> bool:
    """Whether a .json file is one list or object, rather than an object in each line. BadData where it is broken."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MissingFile(f"{file} cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{file}: not UTF-8 text ({error}); save it as UTF-8") from error
    try:
        rows = json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        if not text.lstrip().startswith("["):
            return False
        hint = (
            "; is there a comma too many before it?" if text[: error.pos + 1].rstrip("]} \t\r\n").endswith(",") else ""
        )
        raise BadData(f"{file}:{error.lineno}: not JSON ({error.msg} at character {error.colno}{hint})") from error
    except (ValueError, RecursionError) as error:
        raise BadData(f"{file}: {error}") from error
    if not rows:
        raise BadData(f"{file}: it holds no rows")
    return True


def _parquet(file: Path) -> int:
    """The number of rows; BadData for two columns of one name, or what is no parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as opened:
            _head(file, 0, opened.schema_arrow.names)
            return int(opened.metadata.num_rows)
    except pa.ArrowInvalid as error:
        raise BadData(
            f"{file}: it is damaged or not what its name says ({str(error).splitlines()[0]}); get it again"
        ) from error
    except OSError as error:
        raise MissingFile(f"{file} cannot be read ({error.strerror or error})") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, if no key is there twice: JSON would silently keep the last."""
    row = dict(pairs)
    if len(row) < len(pairs):
        name, count = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"{count} values are called {name!r}; rename or delete all but one")
    return row


__all__ = ["check_table", "read_rows"]
