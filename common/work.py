"""Many tasks on many threads, with one writer: every result is handed over as soon as it is known.

For work that costs money or time (calls of a model, pictures to judge): a signal, a spent budget or a failure ends it early, and
what was done until then is never lost.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from common.signals import StopSignal

T = TypeVar("T")
R = TypeVar("R")

WRITE_EVERY_S = 0.05  # between two hand-overs: one wake-up of the writer for many results
GRACE_S = 30.0  # for tasks under way once somebody wants to stop; their calls are already paid for


def run_tasks(
    tasks: Iterable[T],
    work: Callable[[T], R],
    keep: Callable[[Sequence[tuple[T, R]]], object],
    *,
    threads: int,
    mild: type[Exception] | tuple[type[Exception], ...] = (),
    grace_s: float = GRACE_S,
    noun: str = "results",
    on_progress: Callable[[int], object] | None = None,
) -> Exception | None:
    """Call `work` on each of `tasks` from `threads` threads and `keep` with the new (task, result) pairs.

    `tasks` may be a generator: it is advanced under a lock, and only when a thread is free, so that memory does not grow with
    the number of tasks. `keep` and `on_progress` (the number of results kept so far) run in the calling thread, in which the
    results come in the order of their completion.

    The first task that raises stops the others from being started. An error of a kind in `mild` (a spent budget) is the
    mildest failure: tasks under way are waited for, any other error takes precedence, and it is returned, not raised. Tasks
    under way get `grace_s` seconds after any other error and after the first SIGINT or SIGTERM.

    Returns None when all tasks are done, or the mild error that ended the work early.
    Raises KeyboardInterrupt after a signal, the first error that is not mild, and whatever `keep` raises; in every case but the
    last, all results known by then have been kept. A second signal interrupts at once.
    """
    pool = _Pool(tasks, work, threads)
    failure: BaseException | None = None
    deadline, kept = float("inf"), 0
    try:
        with StopSignal() as stop:
            pool.start()
            while True:
                over = pool.idle.wait(WRITE_EVERY_S)  # read before the queue is emptied, so that nothing is missed
                results, errors = pool.drain()
                if results:
                    keep(results)
                    kept += len(results)
                    if on_progress is not None:
                        on_progress(kept)
                for error in errors:
                    if failure is None or (isinstance(failure, mild) and not isinstance(error, mild)):
                        failure = error
                severe = stop.requested or (failure is not None and not isinstance(failure, mild))
                if severe and deadline == float("inf"):
                    deadline = time.monotonic() + grace_s
                if failure is not None or severe:
                    pool.stop.set()
                if over or time.monotonic() > deadline:
                    break
    finally:
        pool.stop.set()
    if stop.requested:
        raise KeyboardInterrupt(f"stopped; {kept} new {noun} are kept, and the same command goes on after them")
    if failure is None:
        return None
    if isinstance(failure, mild) and isinstance(failure, Exception):
        return failure
    raise failure


class _Pool(Generic[T, R]):
    """Daemon threads that take tasks from one iterator and put results and errors into one queue."""

    def __init__(self, tasks: Iterable[T], work: Callable[[T], R], threads: int) -> None:
        self.tasks, self.work = iter(tasks), work
        self.outcomes: queue.SimpleQueue[tuple[T, R] | BaseException] = queue.SimpleQueue()
        self.stop, self.idle = threading.Event(), threading.Event()  # idle: no thread is alive any more
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(max(1, threads))]
        self._alive = len(self._threads)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def drain(self) -> tuple[list[tuple[T, R]], list[BaseException]]:
        """Everything that is in the queue now."""
        results: list[tuple[T, R]] = []
        errors: list[BaseException] = []
        while True:
            try:
                outcome = self.outcomes.get_nowait()
            except queue.Empty:
                return results, errors
            if isinstance(outcome, BaseException):
                errors.append(outcome)
            else:
                results.append(outcome)

    def _run(self) -> None:
        try:
            while not self.stop.is_set():
                with self._lock:
                    if self.stop.is_set():
                        return
                    try:
                        task = next(self.tasks)
                    except StopIteration:
                        return
                self.outcomes.put((task, self.work(task)))
        except BaseException as error:  # of the iterator as well; the calling thread decides what it means
            self.stop.set()
            self.outcomes.put(error)
        finally:
            with self._lock:
                self._alive -= 1
                if self._alive == 0:
                    self.idle.set()


__all__ = ["GRACE_S", "run_tasks"]
