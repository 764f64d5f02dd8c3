"""Commands in real processes that can be killed at an exact moment.

A fork server does once what every command does first (`warm.py`); each command is a fork of it, so a process starts in a moment.
A command is counted at every write that matters (appending rows, flushing a file, renaming it); it can be killed by SIGKILL, or
interrupted by SIGINT, at the n-th of these, in the middle of an append too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARM = "tests.e2e.warm"
LIMIT_S = 900  # of a command that hangs; a busy machine takes minutes for some
ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "assets"  # commands run in folders of their own


@dataclass(frozen=True)
class Ended:
    code: int  # negative: killed by that signal
    writes: int
    text: str


def command(
    module: str,
    arguments: list[str],
    folder: Path,
    kill_at: int | None = None,
    interrupt_at: int | None = None,
    full_at: int | None = None,
) -> Ended:
    """`python -m <module> <arguments>` in `folder`. `full_at`: from that write on the disk is full."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([WARM])
    log, count = folder / "output.log", context.Value("i", 0)
    child = context.Process(
        target=_child, args=(module, arguments, str(folder), str(log), count, kill_at, interrupt_at, full_at)
    )
    with contextlib.chdir(ROOT):  # where the fork server, if this starts it, looks for its modules
        child.start()
    child.join(LIMIT_S)
    if child.is_alive():
        child.kill()
        raise AssertionError(f"no end after {LIMIT_S} s:\n{log.read_text()}")
    assert child.exitcode is not None
    return Ended(child.exitcode, count.value, log.read_text(errors="replace"))


def _child(
    module: str,
    arguments: list[str],
    folder: str,
    log: str,
    count: Any,
    kill_at: int | None,
    interrupt_at: int | None,
    full_at: int | None,
) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    assert WARM in sys.modules, "the fork server could not import it"
    os.chdir(folder)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("IMAGEEDIT_DATA", None)  # a command sees the data it is given and no other
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would inherit "ignore"
    _watch_writes(count, kill_at, interrupt_at, full_at)
    sys.argv = [module, *arguments]
    code = 0
    try:
        import importlib

        from common import progress
        from experiments.runs import cli

        progress.console.file = sys.stdout
        name = module.rpartition(".")[2]
        loaded = importlib.import_module(module)
        cli.command(name, loaded.main, getattr(loaded, "FREE_TEXT", ()))
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Refusing:
    """A path on a full disk: opening it to write raises, as the system would."""

    def __init__(self, error: OSError) -> None:
        self.error, self.parent = error, Path()

    def open(self, *_: Any, **__: Any) -> Any:
        raise self.error


def _watch_writes(count: Any, kill_at: int | None, interrupt_at: int | None, full_at: int | None) -> None:
    """Count appends, flushes and renames; act at the chosen one. An append is torn: half of it is written before a kill."""
    from common.errors import SaveFailed
    from common.jsonl import Journal
    from experiments.evaluation.rows import RowFile

    append, row_append, fsync, rename = Journal.append, RowFile.append, os.fsync, os.replace

    def here() -> None:
        count.value += 1
        if count.value == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if count.value == interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        if full_at is not None and count.value >= full_at:
            raise OSError(28, "No space left on device")

    def torn(self: Journal, rows: Any) -> None:
        rows = list(rows)
        if count.value + 1 == kill_at:
            whole = "".join(__import__("json").dumps(r) + "\n" for r in rows)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as f:
                f.write(whole[: len(whole) * 2 // 3])
        try:
            here()
        except OSError as full:
            self.path = Refusing(full)  # type: ignore[assignment]
        append(self, rows)

    def torn_rows(self: RowFile, rows: Any) -> None:
        rows = list(rows)
        if count.value + 1 == kill_at:
            whole = "".join(__import__("json").dumps(r) + "\n" for r in rows)
            self._file.write(whole[: len(whole) * 2 // 3].encode())
        try:
            here()
        except OSError as full:
            raise SaveFailed(f"could not append to {self.path}: {full.strerror}") from full
        row_append(self, rows)

    def flushed(handle: int) -> None:
        here()
        fsync(handle)

    def renamed(source: Any, target: Any, **more: Any) -> None:
        here()
        rename(source, target, **more)

    Journal.append, os.fsync, os.replace = torn, flushed, renamed  # type: ignore[method-assign,assignment]
    RowFile.append = torn_rows  # type: ignore[method-assign]


def last_of_each(words: Sequence[str]) -> list[str]:
    """Of words with the same key the last one: a command refuses a key that is given twice."""
    return list({word.partition("=")[0]: word for word in words}.values())
