"""How a run stands: running, finished, failed or stopped, from its locks, status.json and results.json."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from common.errors import BadData
from common.files import LOCK, read_json

RUNNING, FINISHED, FAILED, STOPPED = "running", "finished", "failed", "stopped"
STATES = (RUNNING, FINISHED, FAILED, STOPPED)
STATUS, ERROR, RESULTS = "status.json", "error.txt", "results.json"
LOCKS = (LOCK, ".workers", ".shards/*-of-*.lock")  # of the run, its training processes, evaluations in its folder


@dataclass(frozen=True)
class State:
    """`word` is one of STATES, or another that status.json gives (a search's `pruned`)."""

    word: str
    error: str = ""
    started: float | None = None  # seconds since 1970, where status.json says it
    ended: float | None = None


def state_of(folder: Path) -> State:
    """A held lock says more than a file: a process that was killed leaves `running` in status.json."""
    status = _status(folder)
    error = " ".join(str(status.get("error") or "").split()) or _last_line(folder / ERROR)
    times = _seconds(status.get("started")), _seconds(status.get("ended"))
    if is_running(folder):
        return State(RUNNING, "", times[0], None)
    word = str(status.get("state") or "")
    if word in ("", RUNNING):
        finished = (folder / RESULTS).is_file()
        word = FINISHED if finished else FAILED if error and not word else STOPPED
    return State(word, error if word == FAILED else "", *times)


def is_running(folder: Path, own: bool = True) -> bool:
    """Whether a process holds one of the folder's locks. `own=False`: besides the run's own one, which the caller holds."""
    return any(_held(path) for pattern in LOCKS if own or pattern != LOCK for path in folder.glob(pattern))


def _held(path: Path) -> bool:
    """Asked with a shared lock that is given back at once. A lock file that a process left in good order is empty and is not
    touched, so that a run that starts in this moment is not refused."""
    try:
        if path.name == LOCK and path.stat().st_size == 0:
            return False
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # gone meanwhile, or not ours to read: nothing says that it is held
        return False
    return False


def _status(folder: Path) -> Mapping[str, Any]:
    if not (folder / STATUS).is_file():
        return {}
    try:
        values = read_json(folder / STATUS)
    except BadData:
        return {}  # written by a kill's victim: the other files still tell how the run stands
    return values if isinstance(values, Mapping) else {}


def _last_line(path: Path) -> str:
    """Of a traceback: the error itself."""
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def _seconds(value: Any) -> float | None:
    """Seconds since 1970, or a date as ISO 8601 writes it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return None


__all__ = ["ERROR", "FAILED", "FINISHED", "RESULTS", "RUNNING", "STATES", "STOPPED", "State", "is_running", "state_of"]
