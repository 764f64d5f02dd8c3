"""A job of a sweep: its words on the command line, its run's folder, and how it stands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from experiments.sharing.phase import SharedPhase

QUEUED, RUNNING, FINISHED, FAILED, STOPPED, PRUNED = "queued", "running", "finished", "failed", "stopped", "pruned"


@dataclass
class Job:
    """`own` are the words that tell it from the other jobs. `phases` are those that it may have in common with others. `folder`
    is None where the run cannot be named, which starting it says better."""

    number: int
    words: tuple[str, ...]
    own: str
    log: Path
    folder: Path | None = None
    phases: tuple[SharedPhase, ...] = ()
    state: str = QUEUED
    note: str = ""  # why it waits, or what it is doing
    error: str = ""
    code: int = 0  # exit code of its process
    score: float | None = None
    reused: bool = False  # it was finished before the sweep began
    began: float = 0.0
    ended: float = field(default=0.0)

    @property
    def name(self) -> str:
        """As its failure is filed in the sweep's folder."""
        return " ".join(self.words)

    @property
    def seconds(self) -> float:
        return 0.0 if not self.began else (self.ended or time.monotonic()) - self.began

    def end(self, state: str, error: str = "") -> None:
        self.state, self.error, self.note, self.ended = state, error, "", time.monotonic()

    @property
    def over(self) -> bool:
        return self.state not in (QUEUED, RUNNING)


def own_words(jobs: Sequence[Sequence[str]]) -> list[str]:
    """For each job the words that not all jobs have; all of them where there is one job, or where jobs are alike."""
    shared = set(jobs[0]).intersection(*jobs[1:]) if len(jobs) > 1 else set()
    return [" ".join(w for w in words if w not in shared) or " ".join(words) for words in jobs]


def last_line(log: Path) -> str:
    """What a job said last, which is how far it is."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


__all__ = ["FAILED", "FINISHED", "PRUNED", "QUEUED", "RUNNING", "STOPPED", "Job", "last_line", "own_words"]
