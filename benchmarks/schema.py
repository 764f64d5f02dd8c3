"""The columns that a table must have, checked before any row is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.item import Card
from benchmarks.values import shown
from common.errors import BadData


@dataclass(frozen=True)
class Column:
    """What a column holds. An optional one may be absent, and its values may be null. `also`: other names it may have."""

    kind: str
    required: bool = True
    also: tuple[str, ...] = ()


TEXT, INTEGER, NUMBER, FLAG = Column("text"), Column("integer"), Column("number"), Column("true or false")
PICTURE = Column("picture")
ANY = Column("anything")  # nested values: lists, structs
_ALSO = {("number", "integer")}  # (wanted, found) that fit though they differ
_TYPES: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "integer": int,
    "number": (int, float),
    "true or false": bool,
}


def optional(column: Column) -> Column:
    return replace(column, required=False)


def called(column: Column, *also: str) -> Column:
    """The same column, which some copies of the data call by another name; the first that is there is taken."""
    return replace(column, also=also)


def names_in(features: Any, columns: Mapping[str, Column]) -> dict[str, str]:
    """Our name -> the name in the data, of every column that is there."""
    actual_names = {name: next((n for n in (name, *c.also) if n in features), None) for name, c in columns.items()}
    return {name: actual for name, actual in actual_names.items() if actual is not None}


def check_schema(card: Card, where: str, features: Any, columns: Mapping[str, Column], paths: bool) -> None:
    """Raises BadData that names the missing or mistyped columns. `paths`: a picture may be given as a path (text)."""
    names = names_in(features, columns)
    missing = [
        " or ".join(map(repr, (name, *c.also))) for name, c in columns.items() if c.required and name not in names
    ]
    if missing:
        raise BadData(
            f"{card.name}: {where} has no column {', no '.join(missing)}; it has {', '.join(features)}. "
            f"How to get it: {card.get}"
        )
    for name, column in columns.items():
        if name not in names:
            continue
        kind = kind_of(feature := features[names[name]])
        fits = kind == column.kind or column.kind == "anything" or (column.kind, kind) in _ALSO
        fits = fits or (column.kind == "picture" and kind == "text" and paths)
        fits = fits or (kind == "nothing" and not column.required)
        if not fits:
            raise BadData(
                f"{card.name}: {where}: column {names[name]!r} should hold {column.kind} but holds {kind} ({feature}). "
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


def check_value(value: Any, column: Column, where: str) -> Any:
    """The value, if it may stand in this column; raises BadData naming `where` if it is null or of another type."""
    if value is None:
        if column.required:
            raise BadData(f"{where} is empty")
        return None
    if column.required and isinstance(value, str) and not value.strip():
        raise BadData(f"{where} is empty")
    types = _TYPES.get(column.kind)
    if types is not None and (not isinstance(value, types) or (isinstance(value, bool) and column.kind != FLAG.kind)):
        raise BadData(f"{where} should be {column.kind} but is {shown(value)}")
    return value


__all__ = [
    "ANY",
    "FLAG",
    "INTEGER",
    "NUMBER",
    "PICTURE",
    "TEXT",
    "Column",
    "called",
    "check_schema",
    "check_value",
    "names_in",
    "optional",
]
