"""What a key means: the comment at its field, on the same line or on the lines above it."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from dataclasses import fields, is_dataclass
from functools import cache


@cache
def comments_of(cls: type) -> dict[str, str]:
    """Comments of the fields of a dataclass, those of its bases included. A field without one is not there, and a class that is no
    dataclass has none."""
    if not is_dataclass(cls):
        return {}
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
    text = inspect.cleandoc("\n" + source)
    alone = {number for number, line in enumerate(text.splitlines(), 1) if line.strip().startswith("#")}
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)  # a field may take several
            beside = next((comments[n] for n in lines if n in comments), "")
            above: list[str] = []
            number = node.lineno - 1
            while number in alone:
                above.insert(0, comments.get(number, ""))
                number -= 1
            if said := beside or " ".join(above):
                found[node.target.id] = said
    return found


__all__ = ["comments_of"]
