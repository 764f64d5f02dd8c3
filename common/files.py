"""Text and JSON files written whole or not at all, and a lock against two processes in one folder."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.atomic import atomic_file
from common.errors import BadData, BadInput, MissingFile, SaveFailed


def write_text(path: str | Path, text: str) -> Path:
    """Write a UTF-8 file whole or not at all. Raises SaveFailed."""
    return write_bytes(path, text.encode())


def write_bytes(path: str | Path, data: bytes, **how: Any) -> Path:
    """Write a file whole or not at all. `how`: the options of `common.atomic.atomic_file`. Raises SaveFailed."""
    with atomic_file(path, **how) as file:
        file.write(data)
    return Path(path)


def write_json(path: str | Path, value: Any) -> Path:
    return write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Raises MissingFile, or BadData naming the file."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise MissingFile(f"no such file: {path}") from e
    except (ValueError, OSError) as e:
        raise BadData(f"{path} cannot be read as JSON ({e}); delete it and give the same command again") from e


LOCK = ".lock"
PIECE = 256 << 10  # bytes that are read at a time


def move_contents_aside(folder: Path) -> Path:
    """Move everything but the lock to the first free `<folder>.old-<n>`, so that nothing is lost and the lock is kept."""
    n = 1
    while (aside := folder.with_name(f"{folder.name}.old-{n}")).exists():
        n += 1
    try:
        aside.mkdir()
        # config.yaml last: while it is here, a kill in between leaves a folder that is seen as a run and moved on
        for path in sorted(folder.iterdir(), key=lambda p: p.name == "config.yaml"):
            if path.name != LOCK:
                os.replace(path, aside / path.name)
    except OSError as e:
        raise SaveFailed(
            f"could not move {folder} to {aside}: {e.strerror or e}; move it yourself, then run again"
        ) from e
    return aside


def read_bytes(path: str | Path) -> bytes:
    """The whole file, as `Path.read_bytes`, in half the calls of the system: at each of them a thread may lose its turn to
    others. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data, parts = os.read(file, PIECE), []
        while part := os.read(file, PIECE):
            parts.append(part)
        return b"".join((data, *parts)) if parts else data
    finally:
        os.close(file)


@contextmanager
def locked(
    folder: Path, name: str = LOCK, instead: str = "change seed or name", on_full_disk: bool = False
) -> Iterator[None]:
    """Hold `folder/<name>` while in the block, the process's id in it; `BadInput` where another process does, which ends in
    what can be done `instead`. Freed even by kill -9 (the id then stays). `on_full_disk`: go on where there is no room for the
    id, for who frees space; else SaveFailed."""
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+", encoding="utf-8")
    except OSError as e:
        raise SaveFailed(
            f"could not write to {folder}: {e.strerror or e}; choose another place: paths.outputs=<folder>"
        ) from e
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            handle.seek(0)
            who = handle.read().strip() or "unknown"
            raise BadInput(f"{folder} is in use by another process (id {who}); wait for it, or {instead}") from e
        handle.truncate(0)
        try:
            os.write(handle.fileno(), str(os.getpid()).encode())
        except OSError as e:
            if not on_full_disk:
                raise SaveFailed(f"could not write to {folder}: {e.strerror or e}; free space and go on") from e
        yield
        handle.truncate(0)
    finally:
        handle.close()


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Hold the lock file `path` while in the block, after waiting for any other process that does. Raises SaveFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as e:
        raise SaveFailed(f"could not write to {path.parent}: {e.strerror or e}") from e
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


__all__ = [
    "LOCK",
    "locked",
    "move_contents_aside",
    "read_bytes",
    "read_json",
    "waiting",
    "write_bytes",
    "write_json",
    "write_text",
]
