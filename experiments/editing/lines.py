"""The lines that a session reads: typed at a prompt on a terminal, or from a pipe or file without any prompt."""

from __future__ import annotations

import contextlib
import sys


class Lines:
    """`interactive`: a person sits at a terminal. Bytes that are no UTF-8 are read as U+FFFD."""

    def __init__(self) -> None:
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        with contextlib.suppress(AttributeError):
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
        if self.interactive:
            with contextlib.suppress(ImportError):  # not everywhere; then there are no arrow keys
                import readline  # noqa: F401  # input() uses it

    def read(self, prompt: str) -> str | None:
        """The next line, None at the end. Raises KeyboardInterrupt."""
        if self.interactive:
            try:
                return input(prompt)
            except EOFError:
                print()
                return None
        line = sys.stdin.readline()
        return line.rstrip("\r\n") if line else None


__all__ = ["Lines"]
