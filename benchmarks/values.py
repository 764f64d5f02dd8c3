"""Cells of a table in messages and as paths: a cell may hold a whole picture as text, which no message should repeat."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from common.errors import BadData

SHOWN = 60  # characters of a value in a message
LONGEST_NAME, LONGEST_PATH = 255, 4096  # bytes that file systems take
_BASE64 = re.compile(r"(?:data:image/[\w.+-]+;base64,)?[A-Za-z0-9+/_\-\s]{200,}={0,2}\s*")


def shown(value: Any) -> str:
    """`value` for a message: as Python writes it, and cut where it is long, with its length."""
    text = repr(value)
    if len(text) <= SHOWN + 20:
        return text
    return f"{text[:SHOWN]}… ({len(value) if isinstance(value, str | bytes) else len(text):,} characters)"


def not_a_path(text: str) -> str:
    """Why this cannot be the path of a picture, or "" where it can."""
    if text.startswith("data:image/") or (_BASE64.fullmatch(text) and len(text) > LONGEST_NAME):
        return f"it holds a picture as text (base64, {len(text):,} characters); save pictures as files and give their paths"
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > LONGEST_PATH or max((len(part) for part in raw.split(b"/")), default=0) > LONGEST_NAME:
        return f"it is no path of a picture but {shown(text)}"
    if "\0" in text:
        return f"it is no path of a picture, since it holds a null character: {shown(text)}"
    return ""


def path_in(cell: str, where: str) -> Path:
    """The path that a cell names, as it is written; BadData naming `where` for what is no path."""
    if why := not_a_path(cell):
        raise BadData(f"{where}: {why}")
    return Path(cell).expanduser()


__all__ = ["not_a_path", "path_in", "shown"]
