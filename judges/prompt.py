"""Prompts of the rubrics: text files in judges/prompts/ with {named} fields. Braces around anything else are text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.errors import BadData, BadInput, MissingFile

PROMPTS = Path(__file__).parent / "prompts"
_FIELD = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Prompt:
    name: str
    text: str
    fields: frozenset[str]

    def fill(self, **values: str) -> str:
        """The text with its fields filled in, in one pass: what a request says in braces stays as it is.

        Raises BadInput for a field that is missing or unknown.
        """
        if wrong := self.fields ^ values.keys():
            kind = "is missing" if wrong & self.fields else "is none of its fields"
            raise BadInput(f"prompt {self.name!r}: {', '.join(sorted(wrong))} {kind}")
        return _FIELD.sub(lambda field: values[field[1]], self.text)


def load_prompt(name: str, fields: Iterable[str] = (), folder: Path = PROMPTS) -> Prompt:
    """The prompt `<folder>/<name>.txt`, which must use exactly `fields`. Raises MissingFile, BadData naming the file."""
    path = folder / f"{name}.txt"
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise MissingFile(f"there is no prompt {path}; is the installation complete?") from None
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: not UTF-8 text ({error})") from None
    expected, used = frozenset(fields), frozenset(_FIELD.findall(text))
    if unknown := sorted(used - expected):
        raise BadData(f"{path}: unknown field {{{unknown[0]}}}; it may use {_listed(expected)}")
    if missing := sorted(expected - used):
        raise BadData(f"{path}: field {{{missing[0]}}} is missing; it needs {_listed(expected)}")
    if not text:
        raise BadData(f"{path}: the file is empty")
    return Prompt(name, text, expected)


def version_of(prompts: Iterable[Prompt]) -> str:
    """Twelve hexadecimal digits that change with any word of any of the prompts."""
    digest = hashlib.sha256()
    for prompt in sorted(prompts, key=lambda p: p.name):
        digest.update(f"{prompt.name}\0{prompt.text}\0".encode())
    return digest.hexdigest()[:12]


def _listed(fields: frozenset[str]) -> str:
    return ", ".join(f"{{{field}}}" for field in sorted(fields)) or "no field"


__all__ = ["PROMPTS", "Prompt", "load_prompt", "version_of"]
