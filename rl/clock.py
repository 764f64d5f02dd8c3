"""Where a step's time goes, and the most memory each phase held."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rl.memory import peak, reset_peak


class Clock:
    """Seconds per phase since the last `read`."""

    PHASES = ("rollout", "reward", "wait", "logprob", "train", "sync", "checkpoint")

    def __init__(self) -> None:
        self.spent = dict.fromkeys(self.PHASES, 0.0)
        self.held: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        reset_peak()
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spent[phase] += time.perf_counter() - start
            if (most := peak()) is not None:
                self.held[phase] = max(most, self.held.get(phase, 0.0))

    def read(self, tokens: int, beside: Mapping[str, float] | None = None) -> dict[str, float]:
        """time/<phase>, memory/<phase> (MiB at its peak), and the tokens per second of rollouts and of the whole step. A
        checkpoint shows in the step after it, since a step's row is written before its checkpoint. What ran `beside` these
        phases, in seconds, is shown with them and is no part of the step's time."""
        beside = beside or {}
        out = {f"time/{k}": v + beside.get(k, 0.0) for k, v in self.spent.items()}
        out |= {f"memory/{k}": v for k, v in self.held.items()}
        total = sum(v for k, v in self.spent.items() if k != "checkpoint")
        rollout = out["time/rollout"]
        self.spent, self.held = dict.fromkeys(self.PHASES, 0.0), {}
        return out | {
            "time/step": total,
            "tokens_per_s": tokens / max(total, 1e-9),
            "tokens_per_s/rollout": tokens / max(rollout, 1e-9),
        }


__all__ = ["Clock"]
