"""Commands without a configuration of their own: `key=value` words, errors as one line, exit codes.

Exit codes as of every command: 0 done, 2 the caller can mend it (a message, no traceback), 130 interrupted. Anything else is a
bug and keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from common.errors import BadInput, ImageEditError
from common.pipes import print_whole
from common.version import version_line

T = TypeVar("T")


def plain_command(
    main: Callable[[list[str]], None], argv: list[str], about: str | None, names_needed: bool = True
) -> None:
    """Call `main(argv)`. `about` is what --help prints, and what a command that needs names prints without any."""
    if (not argv and names_needed) or {"-h", "--help"} & set(argv):
        print_whole((about or "").strip())
        sys.exit(0 if argv else 2)
    if "--version" in argv:
        print(version_line())
        sys.exit(0)
    if unknown := [word for word in argv if word.startswith("--") and "=" not in word]:
        print(f"error: there is no option {unknown[0]}; options are --help and --version", file=sys.stderr)
        sys.exit(2)
    try:
        main(argv)
    except ImageEditError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'stopped'}", file=sys.stderr)
        sys.exit(130)


def read_options(options: type[T], words: Sequence[str], command: str) -> T:
    """The dataclass `options`, all of whose fields have a default, with what `words` ("key=value") say.

    Values are read as the type of the default (int, float or str). A whole number must be at least 1, or as much as
    `metadata={"least": …}` of its field says. Raises BadInput with the usage of `python -m <command>`.
    """
    defaults: dict[str, Any] = {f.name: f.default for f in fields(options)}  # type: ignore[arg-type]
    least = {f.name: f.metadata.get("least", 1) for f in fields(options)}  # type: ignore[arg-type]
    usage = f"usage: python -m {command} " + " ".join(f"[{name}={value}]" for name, value in defaults.items())
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key not in defaults:
            raise BadInput(f"cannot read '{word}'; {usage}")
        kind = type(defaults[key])
        try:
            values[key] = kind(text)
        except ValueError as error:
            what = "whole number" if kind is int else "number"
            raise BadInput(f"{key}={text} is no {what}; {usage}") from error
        if kind is int and values[key] < least[key]:
            raise BadInput(f"{key}={text} must be at least {least[key]}; {usage}")
        if not text:
            raise BadInput(f"{key}= is empty; {usage}")
    return options(**values)


__all__ = ["plain_command", "read_options"]
