"""A tracker whose faults are said once and stop no run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from common.progress import console


class Guarded:
    """`Tracker`. `open_it` makes the real one, and may fail like any of its calls. `shown_by`: the command
    that shows what it records. `said` prints a line."""

    def __init__(
        self,
        name: str,
        open_it: Callable[[], Any],
        shown_by: str = "",
        said: Callable[[str], None] = lambda text: console.print(text, markup=False, soft_wrap=True),
    ) -> None:
        self.name, self.said, self.broken = name, said, False
        self.tracker: Any = None
        self.tracker = self._safely(open_it)
        if shown_by and not self.broken:
            self.said(f"{name}: {shown_by}")

    def log(self, metrics: Mapping[str, Any], training: str = "") -> None:
        self._safely(lambda: self.tracker.log(metrics, training))

    def summary(self, values: Mapping[str, Any]) -> None:
        self._safely(lambda: self.tracker.summary(values))

    def finish(self, exit_code: int = 0) -> None:
        """Also after a fault, so that what there is ends well."""
        if self.tracker is None:
            return
        try:
            self.tracker.finish(exit_code)
        except Exception as error:  # noqa: BLE001
            self._stop(error)

    def _safely(self, call: Callable[[], Any]) -> Any:
        if self.broken:
            return None
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # whatever a tracker raises
            self._stop(error)
        return None

    def _stop(self, error: Exception) -> None:
        if not self.broken:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            self.said(f"{self.name} stopped recording ({reason}); the run goes on, and its own files have every step")
        self.broken = True


__all__ = ["Guarded"]
