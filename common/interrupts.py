"""Ctrl-C in a command that a person sits before: it arrives, whatever the program is doing at that moment.

Python raises KeyboardInterrupt between any two steps of the main thread. Where that is a destructor, or the callback of a weak
reference (every import has some), the exception is printed and dropped; where it is a library's `except:`, it is taken for an
error of the library. And a process that a background job started inherits that SIGINT is ignored, even when it has a
terminal of its own. Then a person presses Ctrl-C and nothing happens.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

AGAIN_S = 0.3  # after which an interrupt that has not arrived is raised again


class Interrupts:
    """Within the block a SIGINT raises KeyboardInterrupt, and raises it again until `caught` is called or it leaves the block.
    An exception that is on its way, through `finally` and `with`, is not disturbed. `even_if_ignored`: also where the process was
    started with SIGINT ignored, which is for commands at a terminal. Outside the main thread, where Python allows no handlers,
    nothing changes."""

    def __init__(self, even_if_ignored: bool = False) -> None:
        self.even_if_ignored = even_if_ignored
        self._raised: KeyboardInterrupt | None = None  # the one that has not arrived yet
        self._before: dict[int, Any] = {}
        self._hook: Callable[[sys.UnraisableHookArgs], Any] | None = None

    def __enter__(self) -> Self:
        ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        if threading.current_thread() is threading.main_thread() and (self.even_if_ignored or not ignored):
            self._before = {signal.SIGINT: signal.signal(signal.SIGINT, self._interrupt)}
            self._hook, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        lost = self._raised is not None and kind is None
        self.caught()
        if self._before:
            signal.signal(signal.SIGINT, self._before.pop(signal.SIGINT))
        if self._hook is not None:
            sys.unraisablehook, self._hook = self._hook, None
        if lost:
            raise KeyboardInterrupt

    def caught(self) -> None:
        """The interrupt has arrived, and was dealt with."""
        self._raised = None
        if signal.SIGALRM in self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before.pop(signal.SIGALRM))

    def check(self) -> None:
        """Raises KeyboardInterrupt where one has not arrived: before something that cannot be taken back."""
        if self._raised is not None:
            raise self._new()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        error = self._new()
        if signal.SIGALRM not in self._before:
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)
        raise error

    def _look(self, number: int, frame: FrameType | None) -> None:
        if self._raised is not None and not _handled(self._raised):
            raise self._new()

    def _new(self) -> KeyboardInterrupt:
        self._raised = KeyboardInterrupt()
        return self._raised

    def _dropped(self, what: sys.UnraisableHookArgs) -> None:
        """In place of the traceback that Python prints of an exception in a destructor: an interrupt comes again."""
        if what.exc_value is not self._raised and self._hook is not None:
            self._hook(what)


def _handled(error: BaseException) -> bool:
    """Whether code runs that handles `error`: an `except`, a `finally`, the end of a `with`."""
    now, seen = sys.exception(), set[int]()
    while now is not None and id(now) not in seen:
        if now is error:
            return True
        seen.add(id(now))
        now = now.__context__
    return False


__all__ = ["AGAIN_S", "Interrupts"]
