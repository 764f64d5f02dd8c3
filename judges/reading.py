"""Reading a model's reply: it has one meaning, or it is Unreadable. Nothing is guessed, repaired or filled in.

Accepted is JSON as the standard has it, in a fence or with prose around it, also with line breaks inside its strings
(small models write them, and they can mean only one thing). Not accepted, because they mean a broken reply as often as
a sloppy one: single quotes, trailing commas, a key twice, NaN, numbers in quotes, true for 1, an object cut short.
Published scripts fall back on a random score or a middle one there (judges.md §1, §6); an unreadable reply is
requested again and then left out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from judges.question import Unreadable

_SHOWN = 200  # characters of a reply in a message
_BEGINS = re.compile(r"\{\s*[\"'}]")  # where an object is meant, not a brace of a formula or of prose
_THOUGHT, _THOUGHT_END = "<think>", "</think>"


def the_object(text: str, keys: Iterable[str]) -> dict[str, Any]:
    """The only JSON object in `text` that has all of `keys`; other keys are left alone, other objects are ignored.

    What a reasoning model writes up to </think> is not part of its answer. The same object
    said twice is one object. Raises Unreadable: none, several that differ, or one that begins and is no JSON.
    """
    wanted = tuple(keys)
    answer = _answer(text)
    objects: list[dict[str, Any]] = []
    start = _BEGINS.search(answer)
    while start:
        try:
            value, end = _DECODER.raw_decode(answer, start.start())
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"a JSON object begins but cannot be read ({_why(error)}): {_shown(answer)}") from None
        objects.append(value)
        start = _BEGINS.search(answer, end)
    fitting = [candidate for candidate in objects if all(key in candidate for key in wanted)]
    if not objects:
        raise Unreadable(f"there is no JSON object in the reply: {_shown(answer)}")
    if not fitting:
        missing = [key for key in wanted if key not in objects[0]]
        raise Unreadable(f"the reply's JSON lacks {', '.join(map(repr, missing))}: {_shown(answer)}")
    if any(_differ(other, fitting[0]) for other in fitting[1:]):
        raise Unreadable(f"the reply holds several JSON objects that differ: {_shown(answer)}")
    return fitting[0]


def the_lines(text: str, names: Sequence[str], low: float, high: float) -> dict[str, float]:
    """The whole numbers of lines "Name: N", by name; case, list marks and asterisks around name and number are ignored.

    Raises Unreadable where a name is missing, is said twice with different numbers, or its number is not one from
    `low` to `high`.
    """
    known = {name.casefold(): name for name in names}
    scores: dict[str, float] = {}
    for line in _answer(text).splitlines():
        label, colon, value = line.partition(":")
        name = known.get(label.strip("*#>- \t").casefold())
        if name is None or not colon:
            continue
        digits = value.strip("* \t.")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 6):
            raise Unreadable(f"{name!r} is followed by no whole number: {_shown(line)}")
        number = check_number(int(digits), low, high, name)
        if scores.setdefault(name, number) != number:
            raise Unreadable(f"{name!r} is said twice with different numbers: {_shown(text)}")
    if missing := [name for name in names if name not in scores]:
        raise Unreadable(f"there is no line {missing[0] + ': N'!r} in the reply: {_shown(text)}")
    return scores


def has_object(text: str) -> bool:
    """Whether a JSON object is begun anywhere in the answer."""
    return _BEGINS.search(_answer(text)) is not None


def check_number(value: Any, low: float, high: float, where: str, whole: bool = True) -> float:
    """`value` where it is a number (no boolean, no text, finite) from `low` to `high`, whole if asked; else Unreadable."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unreadable(f"{where} is no number: {_shown(repr(value))}")
    if not low <= value <= high or not math.isfinite(value):
        raise Unreadable(f"{where} is not from {low:g} to {high:g}: {_shown(repr(value))}")
    if whole and value != int(value):
        raise Unreadable(f"{where} is no whole number: {value!r}")
    return value


def check_numbers(value: Any, count: int, low: float, high: float, where: str, whole: bool = True) -> tuple[float, ...]:
    """`value` as `count` numbers, checked as in `check_number`; Unreadable where it is no list of this length."""
    if not isinstance(value, list):
        raise Unreadable(f"{where} is no list: {_shown(repr(value))}")
    if len(value) != count:
        raise Unreadable(f"{where} has {len(value)} entries instead of {count}: {_shown(repr(value))}")
    return tuple(check_number(v, low, high, f"{where}[{i}]", whole) for i, v in enumerate(value))


def _answer(text: str) -> str:
    """What follows the thoughts; their opening tag is part of the prompt in some chat templates, so that it may lack."""
    _, end, answer = text.rpartition(_THOUGHT_END)
    if not end and text.lstrip().startswith(_THOUGHT):
        raise Unreadable(f"the reply was cut short while the model was still thinking: {_shown(text)}")
    return answer


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice")
    return made


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant, strict=False)


def _differ(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Compared as text, for which 1, 1.0 and true are three things. What is nested too deeply to compare differs."""
    try:
        return json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True)
    except RecursionError:
        return True


def _why(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


__all__ = ["check_number", "check_numbers", "has_object", "the_lines", "the_object"]
