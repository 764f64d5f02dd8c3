"""One loop for many tasks: nothing is lost or doubled, whatever the order, the failure or the signal."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.work import _Pool, run_tasks


class BudgetGone(Exception):
    """A mild failure."""


class Keeper:
    """Collects what is kept, and checks that only one thread writes."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []
        self.threads: set[int] = set()

    def __call__(self, pairs: object) -> None:
        self.threads.add(threading.get_ident())
        self.pairs += list(pairs)  # type: ignore[call-overload]


@settings(max_examples=60, deadline=None)
@given(tasks=st.lists(st.integers(-50, 50), max_size=60), threads=st.integers(-1, 9))
def test_every_task_is_done_once_and_kept_with_its_own_result(tasks: list[int], threads: int) -> None:
    keeper, progress = Keeper(), []
    assert run_tasks(iter(tasks), lambda t: t * t, keeper, threads=threads, on_progress=progress.append) is None
    assert Counter(keeper.pairs) == Counter((t, t * t) for t in tasks)
    assert progress == sorted(progress) and (progress[-1:] == [len(tasks)] or not tasks)
    assert keeper.threads <= {threading.get_ident()}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(1, 40), threads=st.integers(1, 8))
def test_what_was_done_before_a_failure_is_kept_and_the_worst_failure_counts(
    data: st.DataObject, n: int, threads: int
) -> None:
    kinds = data.draw(st.lists(st.sampled_from(["fine", "fine", "fine", "budget", "broken"]), min_size=n, max_size=n))
    done: list[int] = []
    raised: set[str] = set()
    lock = threading.Lock()

    def work(k: int) -> int:
        with lock:
            if kinds[k] == "fine":
                done.append(k)
            else:
                raised.add(kinds[k])
        if kinds[k] == "budget":
            raise BudgetGone(str(k))
        if kinds[k] == "broken":
            raise ValueError(str(k))
        return -k

    keeper = Keeper()
    try:
        ended = run_tasks(range(n), work, keeper, threads=threads, mild=BudgetGone)
    except ValueError:
        assert "broken" in raised
    else:
        assert "broken" not in raised
        assert isinstance(ended, BudgetGone) if raised else ended is None
        assert raised or len(done) == n
    assert sorted(keeper.pairs) == sorted((k, -k) for k in done)  # all that was known, each once


def test_tasks_are_drawn_only_when_a_thread_is_free() -> None:
    drawn, finished, ahead = 0, 0, 0

    def tasks() -> Iterator[int]:
        nonlocal drawn, ahead
        for k in range(50):
            drawn += 1
            ahead = max(ahead, drawn - finished)
            yield k

    lock = threading.Lock()

    def work(k: int) -> int:
        nonlocal finished
        with lock:
            finished += 1
        return k

    run_tasks(tasks(), work, Keeper(), threads=3)
    assert drawn == finished == 50 and ahead <= 4


def test_results_are_independent_of_the_order_in_which_tasks_end() -> None:
    keepers = []
    for slow in (0, 1):
        keeper = Keeper()
        run_tasks(range(8), lambda k, s=slow: time.sleep(0.004 * (k % 2 == s)) or k + 1, keeper, threads=4)
        keepers.append(sorted(keeper.pairs))
    assert keepers[0] == keepers[1] == [(k, k + 1) for k in range(8)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_under_way_and_starts_nothing_new(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    started, pools, start = [], [], _Pool.start
    monkeypatch.setattr(_Pool, "start", lambda pool: pools.append(pool) or start(pool))

    def work(k: int) -> int:
        started.append(k)
        if len(started) == 2:
            os.kill(os.getpid(), number)
        pools[0].stop.wait(60)  # the signal is seen while these are under way
        return k

    keeper = Keeper()
    with pytest.raises(KeyboardInterrupt, match="2 new verdicts are kept"):
        run_tasks(range(100), work, keeper, threads=2, noun="verdicts")
    assert sorted(k for k, _ in keeper.pairs) == sorted(started) == [0, 1]


def test_the_grace_time_ends_the_wait_for_a_task_that_hangs() -> None:
    free = threading.Event()

    def work(k: int) -> int:
        if k == 0:
            free.wait(20)
        elif k == 2:
            raise ValueError("broken")
        return k

    keeper, start = Keeper(), time.monotonic()
    with pytest.raises(ValueError, match="broken"):
        run_tasks(range(9), work, keeper, threads=2, grace_s=0.2)
    free.set()
    assert time.monotonic() - start < 5 and keeper.pairs == [(1, 1)]


def test_a_mild_failure_waits_for_what_is_under_way() -> None:
    spent = threading.Event()

    def work(k: int) -> int:
        if k == 1:
            spent.set()
            raise BudgetGone("2 of 2 dollars")
        spent.wait(5)
        time.sleep(0.1)
        return k

    keeper = Keeper()
    ended = run_tasks(range(9), work, keeper, threads=2, mild=BudgetGone, grace_s=0.0)
    assert str(ended) == "2 of 2 dollars" and keeper.pairs == [(0, 0)]


def test_an_error_of_the_task_iterator_is_raised() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise OSError("the list of tasks broke off")

    keeper = Keeper()
    with pytest.raises(OSError, match="broke off"):
        run_tasks(tasks(), lambda k: k, keeper, threads=3)
    assert keeper.pairs == [(1, 1)]


def test_an_error_of_the_writer_stops_the_threads() -> None:
    before, done = threading.active_count(), []

    def keep(pairs: object) -> None:
        raise OSError("disk full")

    def work(k: int) -> int:
        time.sleep(0.01)
        done.append(k)
        return k

    with pytest.raises(OSError, match="disk full"):
        run_tasks(range(10_000), work, keep, threads=3)
    wait_until = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < wait_until:
        time.sleep(0.01)
    assert threading.active_count() <= before and len(done) < 1000
