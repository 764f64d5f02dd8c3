"""Mistakes on a command line that Hydra would let through, or report in its own words. Each raises BadInput with one line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from common.errors import BadInput
from common.version import version_line

OPTIONS = "--help, --version, --cfg job, -m"  # those a user needs; Hydra has a few more


def parse_options(name: str, argv: Sequence[str]) -> argparse.Namespace:
    """The options and overrides of a command line. Raises BadInput for an option that does not exist."""

    def refuse(message: str) -> NoReturn:
        unknown = [word for word in argv if word.startswith("-")]
        said = message if "unrecognized" not in message else f"there is no option {' '.join(unknown)}"
        raise BadInput(
            f"{said}; options are {OPTIONS}, everything else is key=value (python -m experiments.{name} --help)"
        )

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    for action in parser._actions:
        if isinstance(action, argparse._VersionAction):
            action.version = version_line()
    return parser.parse_args(list(argv))


def as_keys(argv: Sequence[str], free_text: Sequence[str]) -> list[str]:
    """`--image photo.jpg` and `--instruction-file=request.txt` as `image=photo.jpg` and `instruction_file=request.txt`, for
    the keys whose values are taken as they are: the word after such an option is its value whatever it looks like. Raises
    BadInput where there is none."""
    words, rest = [], iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        key = name.removeprefix("--").replace("-", "_")
        if not name.startswith("--") or key not in free_text:
            words.append(word)
        elif equals:
            words.append(f"{key}={value}")
        elif (after := next(rest, None)) is not None:
            words.append(f"{key}={after}")
        else:
            raise BadInput(f"{name} needs a value: {name} <…>, or {key}=<…>")
    return words


def check_quotes(argv: Sequence[str], free_text: Sequence[str]) -> None:
    """`instruction=make the cat blue` is four words for a shell; the first one that has no key shows it."""
    for i, word in enumerate(argv):
        key, equals, value = word.partition("=")
        after = argv[i + 1 :]
        loose = [
            w for w in after[: next((k for k, w in enumerate(after) if "=" in w or w.startswith("-")), len(after))]
        ]
        if equals and key in free_text and loose:
            quoted = f'{key}="{" ".join([value, *loose])}"'
            raise BadInput(f"{word} is followed by words without a key; put the text in quotes: {quoted}")


def check_twice(overrides: Sequence[Override]) -> None:
    """A key or a choice that is given twice."""
    given: dict[str, str] = {}
    for override in overrides:
        key, line = override.key_or_group, _as_typed(str(override.input_line))
        if key in given:
            raise BadInput(f"{key} is given twice: {given[key]} and {line}; give it once")
        given[key] = line


def _as_typed(word: str) -> str:
    """With the text of the command line in the place of `${raw:0}`, where a free text is kept during the composition."""
    return str(OmegaConf.create([word])[0]) if "${raw:" in word else word


def check_left_out(override: Override, group: bool) -> None:
    """`~key`: nothing that a command needs can be left out."""
    if override.is_delete():
        key = override.key_or_group
        instead = f"{key}=<choice>, or {key}=none where --help lists it" if group else f"{key}=<value>"
        raise BadInput(f"~{key}: it cannot be left out; give {instead}")


def check_yes_or_no(composed: DictConfig, key: str, values: Sequence[Any]) -> None:
    """OmegaConf takes any whole number for a boolean; 2 is none."""
    if isinstance(OmegaConf.select(composed, key, default=None, throw_on_missing=False), bool):
        for value in values:
            if isinstance(value, int | float) and not isinstance(value, bool) and value not in (0, 1):
                raise BadInput(f"{key}={value} is no boolean; give true or false")


__all__ = ["as_keys", "check_left_out", "check_quotes", "check_twice", "check_yes_or_no", "parse_options"]
