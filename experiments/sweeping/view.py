"""A sweep on the screen: a live table on a terminal, a plain line for every change elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from common.progress import clock
from experiments.sweeping.job import FAILED, FINISHED, PRUNED, QUEUED, RUNNING, STOPPED, Job

STYLES = {QUEUED: "dim", RUNNING: "cyan", FINISHED: "green", FAILED: "bold red", STOPPED: "yellow", PRUNED: "magenta"}
LINE_S = 60.0  # between two plain lines on what is running


class View:
    """`tell` is called for a job that changed, and with None while none does."""

    def __init__(self, jobs: Sequence[Job], console: Console, live: Live | None) -> None:
        self.jobs, self.console, self.live = jobs, console, live
        self.said = time.monotonic()

    def tell(self, job: Job | None) -> None:
        if self.live is not None:
            self.live.update(table(self.jobs, self.console.height))
            if job is not None and job.state == FAILED:
                self.console.print(line(job, self.jobs[-1].number), markup=False, style="red", soft_wrap=True)
            return
        if job is not None:
            self.console.print(line(job, self.jobs[-1].number), markup=False, soft_wrap=True)
        elif time.monotonic() - self.said > LINE_S:
            self.said = time.monotonic()
            for other in self.jobs:
                if other.state == RUNNING and other.note:
                    self.console.print(f"[{other.number}] {other.own}: {other.note}", markup=False, soft_wrap=True)


@contextmanager
def shown(jobs: Sequence[Job], console: Console) -> Iterator[View]:
    """The view while the block runs; the last table stays on the screen."""
    if not console.is_terminal:
        yield View(jobs, console, None)
        return
    with Live(table(jobs, console.height), console=console, refresh_per_second=4, vertical_overflow="ellipsis") as live:
        yield View(jobs, console, live)
        live.update(table(jobs, 10**6))


def line(job: Job, jobs: int) -> str:
    """One job's change, with what a reader wants to know of it. `jobs`: how many there are; of a search, so far."""
    head = f"[{job.number}/{jobs}] {job.own}: {job.state}"
    if job.state == RUNNING:
        return f"{head}; what it says is in {job.log}"
    if job.state == FAILED:
        place = f" ({job.log})" if job.log.is_file() else ""
        return f"{head} after {clock(job.seconds)}: {job.error}{place}"
    if job.state in (FINISHED, PRUNED):
        how = "before" if job.reused else f"in {clock(job.seconds)}"
        return f"{head} {how}{score(job)}"
    return head


def score(job: Job) -> str:
    return "" if job.score is None else f", score {job.score:.4g}"


def table(jobs: Sequence[Job], height: int) -> Table:
    """All jobs; on a screen that is too low for them those that run and those next to them."""
    counts = Counter(job.state for job in jobs)
    title = ", ".join(f"{counts[state]} {state}" for state in STYLES if counts[state])
    drawn = Table(title=f"{len(jobs)} jobs: {title}", title_justify="left", box=None, pad_edge=False)
    drawn.add_column("job", ratio=3, overflow="ellipsis", no_wrap=True)
    drawn.add_column("state", no_wrap=True)
    drawn.add_column("progress", ratio=3, overflow="ellipsis", no_wrap=True)
    drawn.add_column("time", justify="right", no_wrap=True)
    drawn.add_column("score", justify="right", no_wrap=True)
    chosen = in_view(jobs, max(1, height - 5))
    for job in chosen:
        note = job.error or ("was there before" if job.reused else job.note)
        seconds = "" if not job.began else clock(job.seconds)
        value = "" if job.score is None else f"{job.score:.4g}"
        drawn.add_row(Text(job.own), Text(job.state, STYLES[job.state]), Text(note), seconds, value)
    if len(chosen) < len(jobs):
        drawn.add_row(Text(f"… and {len(jobs) - len(chosen)} more", "dim"), "", "", "", "")
    return drawn


def in_view(jobs: Sequence[Job], rows: int) -> Sequence[Job]:
    """So many jobs in their order: around the first one that is not over."""
    if len(jobs) <= rows:
        return jobs
    current = next((i for i, job in enumerate(jobs) if not job.over), len(jobs) - 1)
    first = min(max(0, current - rows // 3), len(jobs) - rows)
    return jobs[first : first + rows]


def logs_of(sweep: Path) -> Path:
    return sweep / "logs"


__all__ = ["View", "in_view", "line", "logs_of", "shown", "table"]
