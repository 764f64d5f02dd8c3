"""Run work that may hang, with a time limit; the error says where it hung."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from common.errors import RunFailed

T = TypeVar("T")


class Progress:
    """What the work is doing now; the work reports it by calling `at`."""

    def __init__(self, what: str) -> None:
        self.what, self.phase, self.name = what, "starting", ""
        self.when = time.monotonic()

    def at(self, phase: str, name: str = "") -> None:
        self.phase, self.name, self.when = phase, name, time.monotonic()

    def __str__(self) -> str:
        return f"{self.what}: {self.phase}" + (f", at {self.name}" if self.name else "")


def within(seconds: float, progress: Progress, work: Callable[[], T]) -> T:
    """The work's result. Raises RunFailed naming phase and name when `progress` stood still for so many seconds.

    It runs in a thread of its own, since nothing can interrupt a thread that waits inside a collective or a driver; such a
    thread is left behind, so what it worked on must not be used any more.
    """
    done: list[Any] = []
    failed: list[BaseException] = []
    device = torch.cuda.current_device() if torch.cuda.is_initialized() else None

    def run() -> None:
        try:
            if device is not None:
                torch.cuda.set_device(device)  # a thread starts on the first one
            with torch.no_grad():
                done.append(work())
        except BaseException as e:
            failed.append(e)

    thread = threading.Thread(target=run, daemon=True, name=progress.what)
    progress.at("starting")
    thread.start()
    while thread.is_alive():
        left = progress.when + seconds - time.monotonic()
        if left <= 0:
            raise RunFailed(f"{progress}: nothing happened for {seconds:g} s")
        thread.join(left)
    if failed:
        raise failed[0]
    return done[0]


__all__ = ["Progress", "within"]
