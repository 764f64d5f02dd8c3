"""One step of an evaluation on the screen and in timing.jsonl."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.progress import Bar, bar
from experiments.evaluation.rows import RowFile
from experiments.evaluation.shares import Share

NOTE_EVERY_S = 10.0


class Phase:
    """A bar that also notes the seconds since its last note: every 10 s, so that a kill loses little of them."""

    def __init__(self, shown: Bar, path: Path) -> None:
        self.shown, self.path = shown, path
        self.noted = time.perf_counter()

    @property
    def done(self) -> int:
        return self.shown.done

    def update(self, done: int, text: str = "") -> None:
        self.shown.update(done, text)
        if time.perf_counter() - self.noted > NOTE_EVERY_S:
            self.note()

    def note(self) -> None:
        now = time.perf_counter()
        with RowFile(self.path) as file:
            file.append([{"phase": self.shown.label, "seconds": now - self.noted}])
        self.noted = now


@contextmanager
def phase(out: Path, share: Share, name: str, total: int, done: int = 0) -> Iterator[Phase]:
    """A step of `total` pieces, `done` of which an earlier process did. Its seconds are noted also where it is interrupted;
    those of all processes that worked in the folder are summed (`core.times`)."""
    file = "timing.jsonl" if share.shards == 1 else f"timing-{share.name}.jsonl"
    with bar(name, total, done) as shown:
        step = Phase(shown, out / file)
        try:
            yield step
        finally:
            step.note()


__all__ = ["Phase", "phase"]
