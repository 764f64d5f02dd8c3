"""The queue: who is edited with whom, in which order, and what becomes of those who leave, break or come too late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput, ImageEditError
from experiments.serving.batching import Batcher, Closed, Full

PATIENCE_S = 600.0
Work = tuple[str, int]  # a group and a number


class Doubling:
    """Gives twice the number; a negative one breaks its whole batch. Waits for `go` before each batch."""

    def __init__(self) -> None:
        self.batches: list[list[Work]] = []
        self.go = threading.Event()
        self.began = threading.Semaphore(0)

    def group(self, work: Work) -> Hashable:
        return work[0]

    def make(self, works: Sequence[Work]) -> list[int | ImageEditError]:
        self.batches.append(list(works))
        self.began.release()
        assert self.go.wait(PATIENCE_S)
        if any(number < 0 for _, number in works):
            raise ZeroDivisionError
        return [BadInput("zero") if number == 0 else 2 * number for _, number in works]


@contextmanager
def working(
    batch_size: int = 3, queue_size: int = 100, go: bool = True
) -> Iterator[tuple[Batcher[Work, int], Doubling]]:
    models = Doubling()
    batcher: Batcher[Work, int] = Batcher(lambda: models, batch_size, queue_size)
    batcher.start()
    assert batcher.ready.wait(PATIENCE_S)
    if go:
        models.go.set()
    try:
        yield batcher, models
    finally:
        models.go.set()
        batcher.close()


def held(batcher: Batcher[Work, int], models: Doubling) -> None:
    """One job is being made, so that what comes now waits."""
    batcher.submit([("first", 1)])
    assert models.began.acquire(timeout=PATIENCE_S)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(-2, 50)), max_size=30),
    st.integers(1, 5),
    st.data(),
)
def test_every_job_gets_its_own_result(works: list[Work], batch_size: int, data: st.DataObject) -> None:
    """Whatever waits, is cancelled or breaks: results belong to their jobs, batches are of one group, within the size, in order."""
    with working(batch_size, go=False) as (batcher, models):
        held(batcher, models)
        futures = batcher.submit(works)
        gone = {i for i, f in enumerate(futures) if data.draw(st.booleans()) and f.cancel()}
        assert batcher.waiting() == len(works) - len(gone)
        models.go.set()
        for i, (work, future) in enumerate(zip(works, futures, strict=True)):
            if i in gone:
                assert future.cancelled()
                continue
            result = future.result(PATIENCE_S)
            if work[1] > 0:
                assert result == 2 * work[1]
            else:
                assert isinstance(result, ZeroDivisionError if work[1] < 0 else BadInput)
    made = models.batches[1:]
    assert all(len(batch) <= batch_size and len({group for group, _ in batch}) == 1 for batch in made)
    for group in "ab":  # the oldest first, within each group; those of a broken batch come once more, alone
        first = [w for batch in made for w in batch if w[0] == group]
        wanted = [w for i, w in enumerate(works) if i not in gone and w[0] == group]
        assert sorted(set(first), key=first.index) == sorted(set(wanted), key=wanted.index)


def test_what_waits_is_done_together() -> None:
    with working(batch_size=3, go=False) as (batcher, models):
        held(batcher, models)
        works = [("a", 1), ("b", 2), ("a", 3), ("a", 4), ("a", 5), ("b", 6)]
        futures = batcher.submit(works)
        models.go.set()
        assert [f.result(PATIENCE_S) for f in futures] == [2, 4, 6, 8, 10, 12]
    assert models.batches[1:] == [[("a", 1), ("a", 3), ("a", 4)], [("b", 2), ("b", 6)], [("a", 5)]]


def test_a_full_queue_takes_all_of_a_request_or_none_and_those_who_left_make_room() -> None:
    with working(queue_size=4, go=False) as (batcher, models):
        held(batcher, models)
        first = batcher.submit([("a", 1), ("a", 2), ("a", 3)])
        with pytest.raises(Full, match="3 pictures wait already, of at most 4"):
            batcher.submit([("a", 4), ("a", 5)])
        assert batcher.waiting() == 3
        assert first[0].cancel()
        second = batcher.submit([("a", 4), ("a", 5)])
        models.go.set()
        assert [f.result(PATIENCE_S) for f in [*first[1:], *second]] == [4, 6, 8, 10]
    assert ("a", 1) not in [w for batch in models.batches for w in batch]


def test_what_is_being_made_cannot_be_cancelled() -> None:
    with working(go=False) as (batcher, models):
        (future,) = batcher.submit([("a", 7)])
        assert models.began.acquire(timeout=PATIENCE_S)
        assert not future.cancel()
        models.go.set()
        assert future.result(PATIENCE_S) == 14


def test_closing_finishes_what_was_accepted_and_nothing_more() -> None:
    with working(batch_size=1, go=False) as (batcher, models):
        held(batcher, models)
        futures = batcher.submit([("a", n) for n in (1, 2, 3)])
        closing = threading.Thread(target=batcher.close)
        closing.start()
        until(lambda: batcher._closed)
        with pytest.raises(Closed):
            batcher.submit([("a", 4)])
        models.go.set()
        closing.join(PATIENCE_S)
        assert not closing.is_alive() and [f.result(0) for f in futures] == [2, 4, 6]


def test_models_that_cannot_be_loaded_are_reported() -> None:
    failures: list[BaseException] = []

    def load() -> Doubling:
        raise BadInput("no weights")

    batcher: Batcher[Work, int] = Batcher(load, 1, 1, on_failure=failures.append)
    batcher.start()
    until(lambda: bool(failures))
    batcher.close()
    assert batcher.failure is failures[0] and not batcher.ready.is_set()


def until(holds: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE_S / 0.005)):
        if holds():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came to be")
