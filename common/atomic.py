"""Files and folders that appear under their name only when they are complete: written elsewhere, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from common.errors import ImageEditError, SaveFailed

REMEDY = "What was saved before is intact; free space (or mend the permissions) and give the same command again"


@contextmanager
def atomic_file(
    path: str | Path, *, sync: bool = True, shared: bool = False, remedy: str = REMEDY
) -> Iterator[BinaryIO]:
    """A binary file to write to. It gets its name when the block ends; after an error or a kill, the old file is as it was.

    `sync` forces the bytes to the disk before the renaming; without it, a crash of the machine may leave an empty file.
    `shared`: several threads or processes may write this path at the same time (the last one wins). The folder is created.
    Raises SaveFailed, ending in `remedy`, where the system refuses.
    """
    path = Path(path)
    draft = draft_of(path, shared)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(draft, path)
    except ImageEditError:
        raise
    except OSError as error:
        raise SaveFailed(f"could not write {path}: {error.strerror or error}. {remedy}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, remedy: str = REMEDY) -> Iterator[Path]:
    """An empty folder to fill. When the block ends it takes the place of `path` and of what was there; after an error, the
    old folder is as it was. Raises SaveFailed, ending in `remedy`, where the system refuses."""
    path = Path(path)
    draft = draft_of(path)
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
        if path.exists():
            shutil.rmtree(path)
        os.replace(draft, path)
    except ImageEditError:
        raise
    except OSError as error:
        raise SaveFailed(f"could not write the folder {path}: {error.strerror or error}. {remedy}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def why_refused(error: BaseException) -> str:
    """Why something could not be written, in the system's words: libraries wrap them in their own."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    text = " ".join(str(error).split())
    if "No space left" in text or "os error 28" in text:
        return os.strerror(errno.ENOSPC)
    if "enforce fail" in text or "PytorchStreamWriter" in text or "iostream error" in text:
        return "the file could not be written to its end (is the disk full?)"
    return text.split(". ")[0] or type(error).__name__


def draft_of(path: Path, shared: bool = False) -> Path:
    """The hidden name beside `path` under which it is written; with `shared` it is this thread's own."""
    mine = f".{os.getpid()}-{threading.get_native_id()}" if shared else ""
    return path.with_name(f".{path.name}{mine}.part")


__all__ = ["REMEDY", "atomic_file", "atomic_folder", "draft_of", "why_refused"]
