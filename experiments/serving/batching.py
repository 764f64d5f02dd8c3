"""One thread owns the models and edits together what waits; a bounded queue stands before it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from common.errors import ImageEditError, RunFailed

logger = logging.getLogger(__name__)
W = TypeVar("W")  # a piece of work
R = TypeVar("R")  # what comes of it
W_contra = TypeVar("W_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Full(RunFailed):
    """The queue has no room."""


class Closed(RunFailed):
    """Nothing is accepted any more."""


class Models(Protocol[W_contra, R_co]):
    """What does the work. Only one thread calls it."""

    def group(self, work: W_contra) -> Hashable:
        """Pieces of work with equal groups may be done together."""

    def make(self, works: Sequence[W_contra]) -> Sequence[R_co | ImageEditError]:
        """One result, or the reason why there is none, for each piece, in order. All of them are of one group."""


@dataclass(frozen=True, eq=False)
class Job(Generic[W, R]):
    """A piece of work. Its future never holds an exception: what went wrong is a result. Who cancels it before its turn has
    come saves the work."""

    work: W
    group: Hashable
    future: Future[R | Exception] = field(default_factory=Future)


class Batcher(Generic[W, R]):
    """`load` gives the models and is called in the thread that will own them: torch keeps some settings by thread.

    A batch is the oldest job and those of its group that wait, in order, up to `batch_size`. Where a batch fails as a whole, its
    jobs are done one by one, so that one of them cannot take the others with it. `on_batch` is told every batch's size.
    """

    def __init__(
        self,
        load: Callable[[], Models[W, R]],
        batch_size: int,
        queue_size: int,
        on_batch: Callable[[int], object] = lambda size: None,
        on_failure: Callable[[BaseException], object] = lambda error: None,
    ) -> None:
        self.batch_size, self.queue_size = batch_size, queue_size
        self.ready = threading.Event()
        self.failure: BaseException | None = None  # of loading
        self._load, self._on_batch, self._on_failure = load, on_batch, on_failure
        self._models: Models[W, R] | None = None
        self._jobs: deque[Job[W, R]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._live, name="models", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def waiting(self) -> int:
        """Jobs whose turn has not come and that somebody still waits for."""
        with self._changed:
            return sum(not job.future.cancelled() for job in self._jobs)

    def submit(self, works: Sequence[W]) -> list[Future[R | Exception]]:
        """Put all of `works` into the queue, or none. Raises Full or Closed. The models must be ready."""
        assert self._models is not None
        jobs: list[Job[W, R]] = [Job(work, self._models.group(work)) for work in works]
        with self._changed:
            if self._closed:
                raise Closed("the server is about to stop; send the request to another one")
            if len(self._jobs) + len(jobs) > self.queue_size:  # those whose clients have gone make room
                self._jobs = deque(job for job in self._jobs if not job.future.cancelled())
            if len(self._jobs) + len(jobs) > self.queue_size:
                raise Full(f"{len(self._jobs)} pictures wait already, of at most {self.queue_size}; try again later")
            self._jobs.extend(jobs)
            self._changed.notify_all()
        return [job.future for job in jobs]

    def close(self) -> None:
        """Accept nothing more, and return when everything accepted is done. Models that still load are not waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self.ready.is_set():
            self._thread.join()

    def _live(self) -> None:
        try:
            self._models = self._load()
        except BaseException as error:
            self.failure = error
            self._on_failure(error)
            return
        self.ready.set()
        while self._next():
            pass

    def _next(self) -> bool:
        """Wait for a batch and do it; False at the end. Nothing of the batch is held while waiting for another."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            if not self._jobs:
                return False
            batch, self._jobs = self._taken(self._jobs)
        if batch:
            self._on_batch(len(batch))
            self._do(batch)
        return True

    def _taken(self, jobs: deque[Job[W, R]]) -> tuple[list[Job[W, R]], deque[Job[W, R]]]:
        """A batch, and what stays. Cancelled jobs are neither."""
        batch: list[Job[W, R]] = []
        left: deque[Job[W, R]] = deque()
        for job in jobs:
            fits = len(batch) < self.batch_size and (not batch or job.group == batch[0].group)
            if not fits:
                left.append(job)
            elif job.future.set_running_or_notify_cancel():  # from here on it cannot be cancelled
                batch.append(job)
        return batch, left

    def _do(self, batch: Sequence[Job[W, R]]) -> None:
        assert self._models is not None
        results: Sequence[R | Exception]
        try:
            results = self._models.make([job.work for job in batch])
            if len(results) != len(batch):
                raise RunFailed(f"the models got {len(batch)} requests and gave {len(results)} results")
        except Exception as error:
            if len(batch) > 1:
                logger.warning("a batch of %d failed (%s); its requests are done one by one", len(batch), error)
                for job in batch:
                    self._do([job])
                return
            if not isinstance(error, ImageEditError):
                logger.exception("a request failed")
            results = [error]
        for job, result in zip(batch, results, strict=True):
            job.future.set_result(result)


__all__ = ["Batcher", "Closed", "Full", "Job", "Models"]
