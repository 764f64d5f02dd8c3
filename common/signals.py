"""SIGINT and SIGTERM as a request to stop, which a loop follows at its next safe point."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class StopSignal:
    """Within the block the first signal only sets `requested`; a second one interrupts at once. Outside the main thread, where
    Python allows no handlers, signals are handled as before."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for s, handler in self._before.items():
            signal.signal(s, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt(f"second {signal.Signals(number).name}")
        self.requested = True


def stop_with(parent: int) -> None:
    """Be interrupted, as by Ctrl-C, when the process that started this one is gone, however it ended. Nothing where the system is
    not Linux, which alone can tell. Raises KeyboardInterrupt where it is gone already."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would inherit "ignore"
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            raise KeyboardInterrupt("the process that started this one has ended")


PR_SET_PDEATHSIG = 1

__all__ = ["StopSignal", "stop_with"]
