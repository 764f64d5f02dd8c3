"""A Ctrl-C that Python would drop arrives all the same, once, and disturbs nothing that is cleaning up after it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable

import pytest

from common.interrupts import AGAIN_S, Interrupts

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs the timers of Unix")


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def plainly() -> None:
    press()


def in_a_destructor() -> None:
    class Thing:
        def __del__(self) -> None:
            press()

    Thing()


def in_a_weak_references_callback() -> None:
    class Thing:
        pass

    thing = Thing()
    kept = weakref.ref(thing, lambda ref: press())
    del thing
    assert kept() is None


def in_a_broad_except() -> None:
    with contextlib.suppress(BaseException):
        press()


@pytest.mark.parametrize("pressed", [plainly, in_a_destructor, in_a_weak_references_callback, in_a_broad_except])
def test_it_arrives_once(pressed: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM), sys.unraisablehook
    arrived = 0
    with Interrupts() as interrupts:
        try:
            pressed()
            end = time.monotonic() + 60
            while time.monotonic() < end:  # whatever the program does next
                pass
        except KeyboardInterrupt:
            arrived += 1
            interrupts.caught()
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        interrupts.check()
    assert arrived == 1 and capsys.readouterr() == ("", "")
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM), sys.unraisablehook)


def test_what_cleans_up_after_it_is_not_disturbed() -> None:
    looks = 0

    def busy() -> None:
        """Until the timer has looked twice."""
        nonlocal looks
        while looks < 2:
            with contextlib.suppress(ValueError):
                raise ValueError("an error of the clean-up itself")

    class Watched(Interrupts):
        def _look(self, *signal: object) -> None:
            nonlocal looks
            looks += 1
            super()._look(*signal)  # type: ignore[arg-type]

    cleaned = []
    with pytest.raises(KeyboardInterrupt), Watched():
        try:
            press()
        finally:
            busy()
            cleaned.append(True)
    assert cleaned == [True] and AGAIN_S < 1


def test_one_that_was_dropped_stops_what_cannot_be_taken_back_and_leaves_the_block() -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts():
        in_a_destructor()
    with Interrupts() as interrupts:
        in_a_broad_except()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.caught()


def test_a_process_that_inherits_an_ignored_signal_hears_it_where_it_is_asked_to() -> None:
    code = """
import signal
from common.interrupts import Interrupts
with Interrupts():
    signal.raise_signal(signal.SIGINT)  # a background job's
try:
    with Interrupts(even_if_ignored=True):
        signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("heard")
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == "heard\n", ended.stderr
