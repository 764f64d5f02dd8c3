"""Progress of long phases: a bar with the remaining time on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

QUIET_S = 10.0  # between two plain lines of one phase

console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)


def say(text: str) -> None:
    """One plain line, never wrapped, flushed at once."""
    console.print(text, soft_wrap=True)


class Bar:
    """`update(done, note)` with the number of pieces done so far."""

    def __init__(self, label: str, total: int, done: int, rich_bar: Progress | None) -> None:
        self.label, self.total, self.done, self.first = label, total, done, done
        self.start = self.last = time.monotonic()
        self.rich_bar = rich_bar
        self.task = rich_bar.add_task(label, total=total, completed=done, note="") if rich_bar else None

    def update(self, done: int, note: str = "") -> None:
        self.done = done
        if self.rich_bar is not None and self.task is not None:
            self.rich_bar.update(self.task, completed=done, note=note)
            return
        now = time.monotonic()
        if now - self.last >= QUIET_S and done < self.total:
            self.last = now
            left = f" · {clock(self._left(now))} left" if done > self.first else ""  # nothing is known before the first
            say(f"  {self.label} {done}/{self.total}{left} {note}".rstrip())

    def _left(self, now: float) -> float:
        made = max(1, self.done - self.first)
        return (now - self.start) / made * (self.total - self.done)


@contextmanager
def bar(label: str, total: int, done: int = 0) -> Iterator[Bar]:
    """Show the progress of a phase of `total` pieces, of which an earlier process did `done`."""
    start = time.monotonic()
    again = f", {done} already done" if 0 < done < total else ""
    if console.is_terminal:
        columns = (TextColumn("  {task.description:<30}"), BarColumn(28), MofNCompleteColumn(), TimeElapsedColumn())
        # where lines of libraries go to a log, they must not be caught and shown above the bar
        shown = console.file is sys.stdout
        bars = Progress(
            *columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
            console=console, redirect_stdout=shown, redirect_stderr=shown,
        )  # fmt: skip
        with bars as rich_bar:
            yield Bar(label, total, done, rich_bar)
    else:
        say(f"  {label}: {total}{again}")
        yield Bar(label, total, done, None)
        say(f"  {label}: done in {clock(time.monotonic() - start)}")


def clock(seconds: float) -> str:
    """Seconds as text: 3.2 s, 1:05, 2:03:04."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"
