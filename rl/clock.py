"""What the loop gives to a step: a clock that measures time and memory of its phases, and a point at which it may be stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rl.memory import on_gpu, peak, reset_peak, resident
from rl.work import Work


class Clock:
    """Seconds per phase since the last `read`. A step calls `safe_point` while its state is still that of the step before: after
    SIGINT or SIGTERM the loop then saves that state and raises KeyboardInterrupt."""

    PHASES = ("rollout", "reward", "wait", "logprob", "train", "sync", "checkpoint")

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(self.PHASES, 0.0)
        self.peaks: dict[str, float] = {}
        self.trained = Work()
        self.peak_flops: float | None = None
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

    def train(self, work: Work, peak_flops: float | None) -> None:
        """Note an update: FLOPs of this process, tokens and images of all processes. `peak_flops`: FLOP/s that its device can do,
        where that is known."""
        self.trained, self.peak_flops = self.trained + work, peak_flops

    def read(
        self,
        count: int,
        beside: Mapping[str, float] | None = None,
        what: str = "tokens",
        more: Mapping[str, int] | None = None,
    ) -> dict[str, float]:
        """time/<phase>, memory/<phase> (MiB at its peak), and the tokens (`what`) per second of rollouts and of the whole step
        (`more` has other counts by name). A checkpoint shows in the step after it, since a step's row is written before its
        checkpoint. `beside` are seconds of phases that ran in another thread: they are added to their phases and are no part of
        the step's time. Also perf/…, of the updates that were noted, and memory/rss: docs/tracking.md has all of them."""
        beside = beside or {}
        out = {f"time/{k}": v + beside.get(k, 0.0) for k, v in self.seconds.items()}
        out |= {f"memory/{k}": v for k, v in self.peaks.items()} | self._memory()
        total = sum(v for k, v in self.seconds.items() if k != "checkpoint")
        out |= self._performance(self.seconds["train"]) | {"time/step": total}
        for name, number in {what: count, **(more or {})}.items():
            out[f"{name}_per_s"] = number / max(total, 1e-9)
            if out["time/rollout"]:
                out[f"{name}_per_s/rollout"] = number / out["time/rollout"]
        self.seconds, self.peaks, self.trained = dict.fromkeys(self.PHASES, 0.0), {}, Work()
        return out

    def _memory(self) -> dict[str, float]:
        now = resident()
        gpu = {"memory/gpu": max(self.peaks.values())} if self.peaks and on_gpu() else {}
        return gpu | ({} if now is None else {"memory/rss": now})

    def _performance(self, seconds: float) -> dict[str, float]:
        work, out = self.trained, {}
        if not seconds:
            return {}
        for name, number in (("tokens", work.tokens), ("images", work.images)):
            if number:
                out[f"perf/{name}_per_s/train"] = number / seconds
        if work.flops:
            out["perf/flops_per_s"] = work.flops / seconds
            if self.peak_flops:
                out["perf/mfu"] = out["perf/flops_per_s"] / self.peak_flops
        return out


__all__ = ["Clock"]
