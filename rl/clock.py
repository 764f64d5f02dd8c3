"""What the loop gives to a step: a clock that measures time and memory of its phases, and a point at which it may be stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rl.memory import peak, reset_peak


class Clock:
    """Seconds per phase since the last `read`. A step calls `safe_point` while its state is still that of the step before: after
    SIGINT or SIGTERM the loop then saves that state and raises KeyboardInterrupt."""

    PHASES = ("rollout", "reward", "wait", "logprob", "train", "sync", "checkpoint")

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(self.PHASES, 0.0)
        self.peaks: dict[str, float] = {}
        self.safe_point: Callable[[], None] = lambda: None

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        reset_peak()
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - start
            if (memory := peak()) is not None:
                self.peaks[phase] = max(memory, self.peaks.get(phase, 0.0))

    def read(self, count: int, beside: Mapping[str, float] | None = None, what: str = "tokens") -> dict[str, float]:
        """time/<phase>, memory/<phase> (MiB at its peak), and the tokens (`what`) per second of rollouts and of the whole step. A
        checkpoint shows in the step after it, since a step's row is written before its checkpoint. `beside` are seconds of
        phases that ran in another thread: they are added to their phases and are no part of the step's time."""
        beside = beside or {}
        out = {f"time/{k}": v + beside.get(k, 0.0) for k, v in self.seconds.items()}
        out |= {f"memory/{k}": v for k, v in self.peaks.items()}
        total = sum(v for k, v in self.seconds.items() if k != "checkpoint")
        rollout = out["time/rollout"]
        self.seconds, self.peaks = dict.fromkeys(self.PHASES, 0.0), {}
        return out | {
            "time/step": total,
            f"{what}_per_s": count / max(total, 1e-9),
            f"{what}_per_s/rollout": count / max(rollout, 1e-9),
        }


__all__ = ["Clock"]
