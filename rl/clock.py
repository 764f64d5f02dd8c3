"""Where a step's time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Clock:
    """Seconds per phase since the last `read`."""

    PHASES = ("rollout", "reward", "wait", "logprob", "train", "sync", "checkpoint")

    def __init__(self) -> None:
        self.spent = dict.fromkeys(self.PHASES, 0.0)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spent[phase] += time.perf_counter() - start

    def read(self, tokens: int, beside: Mapping[str, float] | None = None) -> dict[str, float]:
        """time/<phase>, and the tokens per second of rollouts and of the whole step. A checkpoint's time shows in the step
        after it, since a step's row is written before its checkpoint. What ran `beside` these phases is shown with them
        and is no part of the step's time."""
        beside = beside or {}
        out = {f"time/{k}": v + beside.get(k, 0.0) for k, v in self.spent.items()}
        total = sum(v for k, v in self.spent.items() if k != "checkpoint")
        rollout = out["time/rollout"]
        self.spent = dict.fromkeys(self.PHASES, 0.0)
        return out | {
            "time/step": total,
            "tokens_per_s": tokens / max(total, 1e-9),
            "tokens_per_s/rollout": tokens / max(rollout, 1e-9),
        }


__all__ = ["Clock"]
