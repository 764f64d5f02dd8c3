"""What a key means: the comment at its field, on the same line or on the lines above it."""

from __future__ import annotations

import inspect
import io
import re
import tokenize
from dataclasses import fields, is_dataclass
from functools import cache

FIELD = re.compile(r"\s*(\w+)\s*:")


@cache
def comments_of(cls: type) -> dict[str, str]:
    """Comments of the fields of a dataclass, those of its bases included. A field without one is not there."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if is_dataclass(owner) and owner.__module__ != "conf.options":
            found |= _own(owner)
    names = {f.name for f in fields(cls)}
    return {name: text for name, text in found.items() if name in names}


def _own(owner: type) -> dict[str, str]:
    try:
        source = inspect.getsource(owner)
    except (OSError, TypeError):
        return {}
    comments: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc("\n" + source)).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0]] = re.sub(r"type: ignore\S*\s*#?|^#\s*", "", token.string.lstrip("# ")).strip()
    found, above = {}, []
    for number, line in enumerate(inspect.cleandoc("\n" + source).splitlines(), 1):
        alone = line.strip().startswith("#")
        if alone:
            above.append(comments.get(number, ""))
            continue
        if name := FIELD.match(line):
            text = comments.get(number) or " ".join(above)
            if text:
                found[name[1]] = text
        above = []
    return found


__all__ = ["comments_of"]
