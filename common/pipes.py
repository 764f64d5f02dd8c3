"""Printing to a reader that may leave early, such as `… --help | head`."""

from __future__ import annotations

import os
import sys


def print_whole(text: str) -> None:
    """Print a text; where nobody reads on, the program ends quietly with the exit code of programs that a closed pipe ended."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # Python's own flush at the end must not fail again
        sys.exit(141)


__all__ = ["print_whole"]
