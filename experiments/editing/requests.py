"""Where the instruction comes from: the command line, a text file, or standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from agents.decomposer import clean_request
from common.errors import BadInput, MissingFile

STDIN = "-"
LONGEST = 1_000_000  # bytes of a file with an instruction; a longer one is another kind of file


def read_instruction(text: str | None, file: str | None, limit: int | None) -> str:
    """The instruction as it was typed. Raises BadInput where it is missing, given twice or says nothing, MissingFile."""
    if text is not None and file is not None:
        raise BadInput("instruction= and instruction_file= are both given; give one of them")
    if text == STDIN:
        said = _decoded(sys.stdin.buffer.read(LONGEST + 1), "standard input")
    elif file is not None:
        said = _of_file(Path(file))
    elif text is not None:
        said = text
    else:
        raise BadInput(
            'missing: instruction="what to change" (or instruction_file=<text file>, or instruction=- to read standard input)'
        )
    clean_request(said, limit)  # an empty one is refused before anything is loaded
    return said


def _of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _decoded(file.read(LONGEST + 1), str(path))
    except FileNotFoundError:
        raise MissingFile(f"there is no instruction_file at {path}; check the path") from None
    except OSError as error:
        raise BadInput(f"instruction_file={path} cannot be read ({error.strerror or error})") from None


def _decoded(data: bytes, name: str) -> str:
    if len(data) > LONGEST:
        raise BadInput(f"{name} has more than {LONGEST:,} bytes; give a text with one instruction")
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise BadInput(f"{name} is no text in UTF-8; save it as UTF-8 and try again") from None


__all__ = ["STDIN", "read_instruction"]
