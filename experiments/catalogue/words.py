"""The words of the commands about folders of runs: folders as they are, options as `key=value` into a typed dataclass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from common.dotted import nearest
from common.errors import BadInput

T = TypeVar("T")
YES_NO = {"true": True, "false": False}


def read_words(options: type[T], words: Sequence[str], command: str) -> tuple[list[str], T]:
    """The words that are no option, and the dataclass `options` with what the others say.

    Fields are bool, int, float, str, a Literal of texts, or tuple[str, ...], which takes a word each time it is given. A word
    whose key is unknown counts as a folder where a folder of that name exists. Raises BadInput naming the nearest key.
    """
    hints = get_type_hints(options)
    known = [f.name for f in fields(options)]  # type: ignore[arg-type]
    others: list[str] = []
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or (key not in known and Path(word).exists()):
            others.append(word)
        elif key not in known:
            raise BadInput(f"there is no option '{key}'{nearest(key, known)} (python -m {command} --help)")
        elif not text:
            raise BadInput(f"{key}= is empty; give {key}=<value>, or leave it out")
        elif get_origin(hints[key]) is tuple:
            given[key] = (*given.get(key, ()), text)
        elif key in given:
            raise BadInput(f"{key} is given twice; give it once")
        else:
            given[key] = _value(key, text, hints[key])
    return others, options(**given)


def _value(key: str, text: str, kind: Any) -> Any:
    choices = get_args(kind) if get_origin(kind) is not None else tuple(YES_NO) if kind is bool else ()
    if choices and text not in choices:
        raise BadInput(f"there is no {key}={text}{nearest(text, choices, f'{key}=', True)}")
    if kind is bool:
        return YES_NO[text]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError as error:
            raise BadInput(f"{key}={text} is no {'whole number' if kind is int else 'number'}") from error
    return text


__all__ = ["read_words"]
