"""Which runs of a list are shown, and in which order: where=reward=f1_goal, sort=-overall."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from common.dotted import nearest
from common.errors import BadInput
from experiments.catalogue.configs import text
from experiments.catalogue.entry import OWN_KEYS, Entry
from experiments.catalogue.sizes import SPAN, span

CONDITION = re.compile(r"(?P<key>.+?)(?P<sign><=|>=|!=|=|<|>)(?P<value>.*)")
ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def chosen(entries: Sequence[Entry], conditions: Iterable[str]) -> list[Entry]:
    """The runs that fulfil every condition `<key><sign><value>`; the signs are = != < > <= >=, and with = and != the value may hold
    * and ? . Raises BadInput for a condition that is none, or a key that no run has."""
    for condition in conditions:
        key, sign, wanted = _read(condition)
        check_key(entries, key, "where")
        entries = [e for e in entries if _fulfils(e.value(key), sign, wanted, condition)]
    return list(entries)


def ordered(entries: Sequence[Entry], sort: str) -> list[Entry]:
    """By a key, numbers by size and words by the alphabet; `-key` turns the order around. Runs without the key come last. Raises
    BadInput for a key that no run has."""
    key = sort.removeprefix("-")
    check_key(entries, key, "sort")
    having = [e for e in entries if e.value(key) is not None]
    having.sort(key=lambda e: _rank(e.value(key)), reverse=sort.startswith("-"))
    return [*having, *(e for e in entries if e.value(key) is None)]


def check_key(entries: Sequence[Entry], key: str, option: str) -> None:
    """Raises BadInput, naming the nearest key, where no run has it."""
    known = list(dict.fromkeys([*OWN_KEYS, *(k for e in entries for k in e.all_keys())]))
    if entries and key not in known:
        raise BadInput(f"{option}={key}: no run has this key{nearest(key, known)}")


def _read(condition: str) -> tuple[str, str, str]:
    match = CONDITION.fullmatch(condition)
    if not match or not match["value"]:
        raise BadInput(f"where={condition} is no condition; write where=reward=f1_goal, or 'where=algo.lr>1e-5'")
    return match["key"].strip(), match["sign"], match["value"].strip()


def _fulfils(value: Any, sign: str, wanted: str, condition: str) -> bool:
    if sign in ORDERS:
        number, limit = _number(value), _number(wanted)
        if limit is None:
            raise BadInput(f"where={condition}: {wanted} is no number; words are compared by = and !=")
        return number is not None and ORDERS[sign](number, limit)
    number, other = _number(value), _number(wanted)
    same = number == other if number is not None and other is not None else fnmatchcase(text(value), wanted)
    return same == (sign == "=")


def _number(value: Any) -> float | None:
    """Of spans of time (2h) the seconds."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str) and SPAN.fullmatch(value):
        return span(value, "where")
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _rank(value: Any) -> tuple[int, float, str]:
    number = _number(value)
    return (0, number, "") if number is not None else (1, 0.0, text(value))


__all__ = ["check_key", "chosen", "ordered"]
