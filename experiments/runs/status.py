"""How a run stands, in its folder: status.json, and the traceback of one that failed in error.txt."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import ImageEditError, SaveFailed
from common.files import read_json, write_json, write_text
from experiments.runs.pruning import Pruned

STATUS, ERROR = "status.json", "error.txt"


@contextmanager
def kept(folder: Path, job: str) -> Iterator[None]:
    """The block is the work of a run: `running` within it, then `finished`, `stopped` (an interrupt), `pruned` or `failed`. A
    process that was killed leaves `running` with an id that no process has. `job` is the run's words on the command line."""
    status: dict[str, Any] = {"state": "running", "job": job, "process": os.getpid(), "started": now()}
    write_json(folder / STATUS, status)
    with suppress(OSError):
        (folder / ERROR).unlink(missing_ok=True)  # of an earlier try
    try:
        yield
    except BaseException as error:
        with suppress(SaveFailed):  # a full disk is what the error itself says
            end(folder, status, error)
        raise
    write_json(folder / STATUS, status | {"state": "finished", "ended": now()})


def end(folder: Path, status: dict[str, Any], error: BaseException) -> None:
    """Raises SaveFailed."""
    state = "stopped" if isinstance(error, KeyboardInterrupt) else "pruned" if isinstance(error, Pruned) else "failed"
    if state == "failed":
        write_text(folder / ERROR, "".join(traceback.format_exception(error)))
    values = {"state": state, "ended": now(), "error": said(error)}
    write_json(folder / STATUS, status | values)


def said(error: BaseException) -> str:
    """One line; with the kind of the error where it is none of ours, whose messages say enough."""
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return text if text and isinstance(error, ImageEditError | KeyboardInterrupt) else f"{kind}: {text}".rstrip(": ")


def note_score(folder: Path, score: float | None) -> None:
    """The value that a sweep optimises, beside the state; nothing is written where it is there already."""
    status = status_of(folder) or {"state": "finished"}
    if "score" not in status or status["score"] != score:
        write_json(folder / STATUS, status | {"score": score})


def status_of(folder: Path) -> dict[str, Any]:
    """{} where the run has none. Raises BadData for a damaged file."""
    return dict(read_json(folder / STATUS)) if (folder / STATUS).is_file() else {}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


__all__ = ["ERROR", "STATUS", "end", "kept", "note_score", "now", "said", "status_of"]
