"""Lines that libraries write to the terminal (progress bars, warnings of C++ code, probes by a compiler) go to a log file.

Within `library_lines()` everything that this process or one that it starts writes to its output goes to the file; what our
own console says goes where it went before. Warnings through `logging` are ours where a package of ours gives them.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from common.errors import SaveFailed
from common.progress import console

NAME = "log.txt"  # in a run's folder
OURS = frozenset(
    {"agents", "benchmarks", "common", "conf", "editors", "experiments", "judges", "rewards", "rl", "__main__"}
)


class _Log:
    """The file, and how many are within `library_lines`. It stays open: a library may keep the stream that it found at its
    start and write to it later."""

    def __init__(self) -> None:
        self.stream: IO[str] | None = None
        self.path: Path | None = None
        self.within = 0
        self.lock = threading.Lock()
        self.before: tuple[int, int, Any, Any, Any] | None = None


_log = _Log()


def log_libraries(folder: str | Path | None) -> None:
    """From now on, lines of libraries are added to `folder`/log.txt; None leaves them on the terminal."""
    with _log.lock:
        _log.path = None if folder is None else Path(folder) / NAME
        _log.stream = None  # opened when it is first needed
    if folder is not None:
        _sort_records()


class _Sorted(logging.Handler):
    """Records of our packages on the terminal, those of libraries in the log."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            if record.name.partition(".")[0] in OURS:
                print(text, file=console.file, flush=True)
            elif _log.path is not None:
                with _log.path.open("a", encoding="utf-8", errors="replace") as log:
                    log.write(f"{record.name}: {text}\n")
        except Exception:
            self.handleError(record)


def _sort_records() -> None:
    """One handler at the root in place of those that write to the terminal; handlers of other kinds (files, tests) stay."""
    root = logging.getLogger()
    root.handlers = [h for h in root.handlers if type(h) is not logging.StreamHandler and not isinstance(h, _Sorted)]
    handler = _Sorted()
    handler.setFormatter(logging.Formatter("%(message)s"))
    root.addHandler(handler)


def where_to_look() -> str:
    """For an error that a library explains in its own lines; empty where they are on the terminal."""
    return f"; what the library wrote itself is in {_log.path}" if _log.path is not None and _log.path.is_file() else ""


@contextmanager
def library_lines() -> Iterator[None]:
    """Redirect the process's output, in all of its threads, for the time of the block. May be nested. Raises SaveFailed where
    the file cannot be written."""
    with _log.lock:
        redirected = _log.path is not None
        if redirected:
            if _log.within == 0:
                _redirect(_log.path)  # type: ignore[arg-type]
            _log.within += 1
    try:
        yield
    finally:
        if redirected:
            with _log.lock:
                _log.within -= 1
                if _log.within == 0:
                    _restore()


def _redirect(path: Path) -> None:
    if _log.stream is None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _log.stream = path.open("a", encoding="utf-8", errors="replace", buffering=1)
        except OSError as error:
            raise SaveFailed(
                f"cannot write {path}, where lines of libraries go: {error.strerror}; choose another folder, or leave them on the "
                "terminal where the command has verbose=true"
            ) from error
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    out, err = os.dup(1), os.dup(2)
    ours = (
        os.fdopen(os.dup(out), "w", encoding="utf-8", errors="replace", buffering=1)
        if _is(sys.stdout, 1)
        else sys.stdout
    )
    _log.before = (out, err, sys.stdout, sys.stderr, ours)
    console.file = ours
    sys.stdout = sys.stderr = _log.stream
    os.dup2(_log.stream.fileno(), 1)
    os.dup2(_log.stream.fileno(), 2)


def _restore() -> None:
    assert _log.before is not None
    out, err, stdout, stderr, ours = _log.before
    for stream in (sys.stdout, ours):
        stream.flush()
    for copy, original in ((out, 1), (err, 2)):
        os.dup2(copy, original)
        os.close(copy)
    sys.stdout, sys.stderr, _log.before = stdout, stderr, None
    console.file = None  # type: ignore[assignment]  # whatever sys.stdout is
    if ours is not stdout:
        ours.close()


def _is(stream: Any, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, AttributeError, ValueError):
        return False


__all__ = ["NAME", "library_lines", "log_libraries", "where_to_look"]
