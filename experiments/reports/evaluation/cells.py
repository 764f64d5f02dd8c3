"""One cell of a table: what state its number is in, and how it is written as text and as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from common.cells import Cell
from experiments.reports import html

AVERAGE = "average"
FIELDS = ("value", "low", "high", "n", "invalid", "missing", "note")  # of a Cell, in results.json


def cell_of(cell: Mapping[str, Any]) -> Cell:
    return Cell(**{k: cell[k] for k in FIELDS if k in cell})


def state(cell: Mapping[str, Any]) -> str:
    """complete | partial | absent | too many invalid | no value: only the first may be cited."""
    if cell.get("absent"):
        return "absent"
    if cell.get("partial"):
        return "partial"
    if cell.get("too_many_invalid"):
        return "too many invalid"
    return "complete" if cell["value"] is not None else "no value"


def shown(cell: Mapping[str, Any], digits: int = 2, n: bool = False) -> str:
    """A cell in words; no number where there is none that may be cited. With `n` its number of items too."""
    match state(cell):
        case "absent":
            return "–"
        case "too many invalid":
            return f"invalid ({cell['invalid']} of {cell['invalid'] + cell['n']})"
    text = cell_of(cell).text(digits)
    if state(cell) != "complete":
        return text
    counts = [f"n {cell['n']}"] if n else []
    counts += [f"{cell['invalid']} invalid"] if cell.get("invalid") else []
    return text + (f" ({', '.join(counts)})" if counts else "")


def big(cell: Mapping[str, Any]) -> str:
    """The value, then its interval and the number of items in small type, and what a reader must know besides."""
    text = shown(cell)
    value, bracket, rest = text.partition(" [")
    value = escape(value)
    small = ([f"[{escape(rest)}"] if bracket else []) + ([f"n {cell['n']}"] if state(cell) == "complete" else [])
    star = f' title="{escape(cell["note"])}"' if cell.get("note") else ""
    return " ".join([f"<span{star}>{value}</span>", *(f"<small>{text}</small>" for text in small)])


def interval(cell: Mapping[str, Any], digits: int = 2, sign: bool = False) -> str:
    """The counts are said where the pointer rests on it, as they differ from cell to cell; invalid verdicts are also shown."""
    more = f" <small>({cell['invalid']} invalid)</small>" if cell["invalid"] and not cell.get("partial") else ""
    return html.interval(cell_of(cell), digits, sign, counts=True) + more


def starred(cells: Iterable[Mapping[str, Any]]) -> str:
    """A line under a table with what its stars stand for."""
    return html.starred(cell_of(c) for c in cells)


__all__ = ["AVERAGE", "big", "cell_of", "interval", "shown", "starred", "state"]
