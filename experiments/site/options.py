"""The options of a class or of a command as a Markdown table: name, type, default, meaning. All of it is read from the schema."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, dataclass, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from omegaconf import MISSING

from common.ranges import RANGE
from conf.comments import comments_of
from conf.options import TARGET, dataclass_in, hints_of, options_of

HEAD = "| key | type | default | meaning |\n|---|---|---|---|\n"


@dataclass(frozen=True)
class Option:
    """`type` and `default` as a reader writes them on a command line; `meaning` is the comment at the field."""

    key: str
    type: str
    default: str
    meaning: str


def options_in(cls: type, prefix: str = "") -> Iterator[Option]:
    """Every option of a dataclass or of any class with a typed constructor, nested ones by their dotted keys."""
    holder = cls if is_dataclass(cls) else options_of(cls)
    hints, comments = hints_of(holder), comments_of(cls)
    literals = getattr(holder, "_choices_", {})
    for field in fields(holder):
        if field.name in (TARGET, "name") and prefix or not field.init or field.metadata.get("part"):
            continue
        key, inner = f"{prefix}{field.name}", dataclass_in(hints[field.name])
        if inner is not None and get_origin(hints[field.name]) not in (list, tuple, dict):
            yield from options_in(inner, f"{key}.")
            continue
        shown = (
            " or ".join(map(_value, literals[field.name])) if field.name in literals else type_text(hints[field.name])
        )
        yield Option(key, shown, default_text(field), meaning_of(field, comments.get(field.name, "")))


def table(options: list[Option]) -> str:
    """The Markdown table; a sentence where there is no option."""
    if not options:
        return "It has no options.\n"
    rows = [f"| `{o.key}` | {_cell(o.type)} | {_code(o.default)} | {_cell(o.meaning)} |" for o in options]
    return HEAD + "\n".join(rows) + "\n"


def meaning_of(field: Field[Any], comment: str) -> str:
    """The comment, and the range of a number."""
    allowed = field.metadata.get(RANGE)
    return "; ".join(text for text in (comment, f"{allowed}" if allowed else "") if text)


def type_text(annotation: Any) -> str:
    """`list[str] | None` as "list of texts, or null"."""
    simple = {int: "whole number", float: "number", str: "text", bool: "true or false", Any: "any", type(None): "null"}
    if annotation in simple:
        return simple[annotation]
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(map(_value, inside))
    if origin in (Union, types.UnionType):
        return ", or ".join(type_text(one) for one in inside)
    if origin in (list, tuple) or annotation in (list, tuple):
        kinds = list(dict.fromkeys(type_text(one) for one in inside if one is not ...))
        return f"list of {' and '.join(_several(kind) for kind in kinds)}" if kinds else "list"
    if origin is dict or annotation is dict:
        return f"map from {type_text(inside[0])} to {type_text(inside[1])}" if inside else "map"
    if is_dataclass(annotation):
        return f"{{{', '.join(f.name for f in fields(annotation))}}}"
    return getattr(annotation, "__name__", str(annotation))


def default_text(field: Field[Any]) -> str:
    if field.default_factory is not NO_DEFAULT:
        return _value(field.default_factory())
    return "" if field.default in (NO_DEFAULT, MISSING) else _value(field.default)


def _several(kind: str) -> str:
    return f"{kind}s" if kind in ("whole number", "number", "text") else kind


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(one)}" for key, one in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str) and not value.strip() else str(value)


def _code(text: str) -> str:
    """A default in code; "required" where there is none."""
    return f"`{text}`".replace("|", "\\|") if text else "*required*"


def _cell(text: str) -> str:
    """Within a table's cell; comments are plain text, not Markdown or HTML."""
    for plain, escaped in (("|", "\\|"), ("<", "&lt;"), (">", "&gt;"), ("*", "\\*"), ("[", "\\["), ("\n", " ")):
        text = text.replace(plain, escaped)
    return text


__all__ = ["Option", "default_text", "options_in", "table", "type_text"]
