"""What a table's columns must be, checked before a row is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.errors import BadData
from benchmarks.item import Card


@dataclass(frozen=True)
class Column:
    """What a column holds. An optional one may be absent, and its values may be null."""

    kind: str
    required: bool = True


TEXT, INTEGER, NUMBER, FLAG = Column("text"), Column("integer"), Column("number"), Column("true or false")
PICTURE = Column("picture")
ANY = Column("anything")  # nested values: lists, structs
_ALSO = {("number", "integer")}  # (wanted, found) that fit though they differ
_TYPES = {"text": str, "integer": int, "number": (int, float), "true or false": bool}


def optional(column: Column) -> Column:
    return replace(column, required=False)


def check_schema(card: Card, where: str, features: Any, columns: Mapping[str, Column], paths: bool) -> None:
    """Raises BadData that names the missing or mistyped columns. `paths`: a picture may be given as a path (text)."""
    missing = [name for name, c in columns.items() if c.required and name not in features]
    if missing:
        raise BadData(
            f"{card.name}: {where} has no column {', '.join(map(repr, missing))}; it has {', '.join(features)}. "
            f"How to get it: {card.get}"
        )
    for name, column in columns.items():
        if name not in features:
            continue
        found = kind_of(features[name])
        fits = found == column.kind or column.kind == "anything" or (column.kind, found) in _ALSO
        fits = fits or (column.kind == "picture" and found == "text" and paths)
        fits = fits or (found == "nothing" and not column.required)
        if not fits:
            raise BadData(
                f"{card.name}: {where}: column {name!r} should hold {column.kind} but holds {found} ({features[name]}). "
                f"How to get it: {card.get}"
            )


def kind_of(feature: Any) -> str:
    """The kind of a `datasets` feature."""
    import datasets

    if isinstance(feature, datasets.Image):
        return "picture"
    if isinstance(feature, dict) and {"bytes", "path"} == set(feature):
        return "picture"
    dtype = getattr(feature, "dtype", "")
    if not isinstance(feature, datasets.Value):
        return "anything"
    if dtype in ("string", "large_string"):
        return "text"
    if dtype in ("binary", "large_binary"):
        return "picture"
    if dtype == "bool":
        return "true or false"
    if dtype == "null":
        return "nothing"
    if dtype.startswith(("int", "uint")):
        return "integer"
    return "number" if dtype.startswith(("float", "double")) else str(dtype)


def check_value(value: Any, column: Column, where: str, card: Card) -> Any:
    """The value, if it may stand in this column; raises BadData naming `where` if it is null or of another type."""
    if value is None:
        if column.required:
            raise BadData(f"{card.name}: {where} is empty")
        return None
    wanted = _TYPES.get(column.kind)
    if wanted is not None and (not isinstance(value, wanted) or (isinstance(value, bool) and column.kind != FLAG.kind)):
        raise BadData(f"{card.name}: {where} should be {column.kind} but is {value!r}")
    return value


__all__ = ["ANY", "FLAG", "INTEGER", "NUMBER", "PICTURE", "TEXT", "Column", "check_schema", "check_value", "optional"]
