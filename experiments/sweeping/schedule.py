"""Jobs as processes, so many at a time; a job that needs what another is making waits for it, and others go first."""

from __future__ import annotations

import fcntl
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import RunFailed
from common.files import LOCK
from common.signals import StopSignal
from experiments.runs.failures import reason_of, write_failure
from experiments.runs.status import end, status_of
from experiments.sharing.store import Store
from experiments.sweeping.job import FAILED, FINISHED, PRUNED, QUEUED, RUNNING, STOPPED, Job, last_line
from experiments.sweeping.process import ask_to_stop, how_it_ended

POLL_S = 0.3
PATIENCE_S = 60.0  # a job that was asked to stop has so long to save
Process = subprocess.Popen[bytes]


@dataclass
class Schedule:
    """`start` starts a job's process; `tell` is told of every job that changed, and of None while none does."""

    jobs: Sequence[Job]
    max_parallel: int
    sweep: Path  # its folder
    store: Store | None
    start: Callable[[Job], Process]
    tell: Callable[[Job | None], object]
    running: dict[int, Process] = field(default_factory=dict)

    def run(self) -> None:
        """Until no job is left. Raises KeyboardInterrupt where it was stopped, after all processes have ended; a second signal,
        however soon after the first, ends those at once that have not saved yet."""
        patience = PATIENCE_S
        try:
            with StopSignal() as stop:
                while not stop.requested and any(not job.over for job in self.jobs):
                    self.step()
                    time.sleep(POLL_S)
                self.step_ended()
        except KeyboardInterrupt:  # StopSignal's, of a second signal
            patience = 0.0
            raise
        finally:
            self.stop_all(patience)
        if stop.requested:
            raise KeyboardInterrupt

    def step(self) -> None:
        self.step_ended()
        for job in self.jobs:
            if len(self.running) >= self.max_parallel:
                break
            if job.state == QUEUED and not self.blocked(job):
                self.begin(job)
        for job in self.jobs:
            if job.state == RUNNING:
                job.note = last_line(job.log)
        self.tell(None)

    def begin(self, job: Job) -> None:
        job.state, job.began, job.note = RUNNING, time.monotonic(), ""
        self.running[job.number] = self.start(job)
        self.tell(job)

    def step_ended(self) -> None:
        for job in self.jobs:
            process = self.running.get(job.number)
            if process is not None and (code := process.poll()) is not None:
                del self.running[job.number]
                settle(job, code, self.sweep)
                self.tell(job)

    def blocked(self, job: Job) -> bool:
        """Whether it would only wait; `job.note` says for what."""
        job.note = ""
        if job.folder is not None and in_use(job.folder):
            job.note = "another process has its folder"
            return True
        if self.store is not None:
            making = {p.key for other in self.jobs if other.state == RUNNING for p in other.phases}
            waited = [p for p in job.phases if p.key in making and self.store.find(p) is None]
            if waited:
                job.note = f"waits for {waited[0].name}, which another job is making"
                return True
        return False

    def stop_all(self, patience_s: float) -> None:
        """Ask every process to save and stop, and end those that do not within so many seconds."""
        for process in self.running.values():
            ask_to_stop(process)
        until = time.monotonic() + patience_s
        try:
            while self.running and time.monotonic() < until:
                self.step_ended()
                self.tell(None)
                time.sleep(POLL_S)
        finally:  # also where a second Ctrl-C cuts the wait short
            for process in self.running.values():
                process.kill()
                process.wait()
            self.step_ended()
            for job in self.jobs:
                if job.state == QUEUED:
                    job.end(STOPPED)


def settle(job: Job, code: int, sweep: Path) -> None:
    """The state of a job whose process has ended, in the words of its run where that left any. What was killed left none: its
    run's folder and the sweep's are told here."""
    job.code = code
    found = status_of(job.folder) if job.folder is not None else {}
    if code == 0:
        job.score = found.get("score")
        job.end(PRUNED if found.get("state") == PRUNED else FINISHED)
    elif code == 130:
        job.end(STOPPED)
    else:
        reason = reason_of(sweep, job.name)
        if not reason:
            said = last_line(job.log)
            reason = said.removeprefix("error: ") if said.startswith("error: ") else how_it_ended(code)
            write_failure(sweep, job.name, reason)
        if job.folder is not None and found.get("state") == RUNNING:
            end(job.folder, found, RunFailed(reason))
        job.end(FAILED, reason)


def in_use(folder: Path) -> bool:
    """Whether a process works in the run's folder: one of a sweep that was killed, or of another sweep."""
    try:
        with (folder / LOCK).open("r") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


__all__ = ["Schedule", "in_use", "settle"]
