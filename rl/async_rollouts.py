"""Where a step's rollouts come from: drawn when they are needed, or ahead of training.

Ahead: while step s trains, a thread of its own draws the batch of step s + L with the weights of step s,
L = `max_offpolicy_steps`. The schedule is fixed, not a race: every run with the same L draws the same batches. What was drawn
and not trained on yet is part of a checkpoint, since the weights that drew it are gone when it is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from torch import Tensor

from agents.backends.base import Backend, Completion, ModelRequest, Sampling, SyncReport
from common.errors import BadInput
from rl.clock import Clock
from rl.rollouts import Collector
from rl.text_rollouts import AnswerSampler, TextGroup, TextRollout
from rl.weight_sync import Weights

# the answers to every call of a backend: per request, per completion, its fields
Recording: TypeAlias = list[list[list[tuple[Any, ...]]]]
Pending: TypeAlias = dict[int, tuple[int, Recording]]  # step -> whose weights drew its batch, and the answers


@dataclass(frozen=True)
class Batch:
    """What `Collector.collect` gave, how many steps old the weights were, and, where it was drawn beside training, the seconds
    it took and the backend's answers."""

    groups: list[TextGroup]
    drawn: list[TextGroup]
    lag: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    recording: Recording = field(default_factory=list)


class SyncRollouts:
    """Each batch is drawn with the newest weights, when its step asks for it."""

    def __init__(self, collector: Collector[TextRollout], backend: Backend) -> None:
        self.collector, self.backend = collector, backend

    def start(self, step: int, pending: Pending, weights: Weights) -> None:
        self.backend.sync(weights())

    def take(self, step: int, weights: Weights, clock: Clock) -> Batch:
        self.collector.sampler.prepare(step)
        batch = Batch(*self.collector.collect(step, clock))
        clock.safe_point()  # nothing has been trained yet
        return batch

    def trained(self, weights: Weights, clock: Clock) -> SyncReport | None:
        with clock("sync"):
            return self.backend.sync(weights())

    def state(self) -> Pending:
        return {}

    def close(self) -> None:
        pass


class AsyncRollouts:
    """Batches in the order of their steps, up to `lag` (1 or more) of them drawn before their steps ask for them."""

    def __init__(self, collector: Collector[TextRollout], sampler: AnswerSampler, lag: int, steps: int) -> None:
        self.collector, self.sampler, self.lag, self.steps = collector, sampler, lag, steps
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="rollouts")
        self.futures: dict[int, Future[Batch]] = {}

    def start(self, step: int, pending: Pending, weights: Weights) -> None:
        """Draw the first batches from `step` on with today's weights, or play those of a checkpoint. Raises BadInput where the
        backend has no weights of its own: training would change them while it draws."""
        vlm = getattr(self.sampler.backend, "vlm", None)
        shared = set() if vlm is None else {p.data_ptr() for p in vlm.model.parameters()}
        if any(value.data_ptr() in shared for _, value in weights()):
            raise BadInput("rollouts ahead of training need a model of their own, not the one under training")
        self.sampler.backend.sync(weights())
        for k in range(step, min(step + self.lag, self.steps)):
            self._submit(k, *pending.get(k, (step, [])), None)

    def take(self, step: int, weights: Weights, clock: Clock) -> Batch:
        """The batch of this step; waits for it, and raises what its drawing raised. The backend then gets today's weights, and
        the batch that is theirs is begun."""
        with clock("wait"):
            batch = self.futures.pop(step).result()
        with clock("sync"):
            self._refresh(step, weights)
        return batch

    def _refresh(self, step: int, weights: Weights) -> None:
        """While the backend still draws, the weights are copied and handed over when it is free; otherwise here."""
        busy = any(not future.done() for future in self.futures.values())
        copies = [(name, value.detach().clone()) for name, value in weights()] if busy else None
        if copies is None:
            self.sampler.backend.sync(weights())
        if step + self.lag < self.steps:
            self._submit(step + self.lag, step, [], copies)

    def trained(self, weights: Weights, clock: Clock) -> SyncReport | None:
        """The next step's `take` hands the weights over."""
        return None

    def _submit(self, step: int, version: int, recorded: Recording, weights: list[tuple[str, Tensor]] | None) -> None:
        def draw() -> Batch:
            clock, backend = Clock(), RecordingBackend(self.sampler.backend, deque(recorded))
            if weights is not None:
                with clock("sync"):
                    backend.sync(weights)
            collector = replace(self.collector, sampler=replace(self.sampler, backend=backend))
            groups, drawn = collector.collect(step, clock)
            return Batch(groups, drawn, step - version, dict(clock.seconds), backend.recording)

        self.sampler.prepare(step)
        self.futures[step] = self.thread.submit(draw)

    def state(self) -> Pending:
        """The answers of all batches that no step has asked for yet; waits for them."""
        batches = {step: future.result() for step, future in sorted(self.futures.items())}
        return {step: (step - batch.lag, batch.recording) for step, batch in batches.items()}

    def close(self) -> None:
        """Ends the thread after the batch it is drawing; what waits behind it is dropped."""
        self.thread.shutdown(wait=True, cancel_futures=True)


@dataclass
class RecordingBackend:
    """A backend that notes what the real one answers; recorded answers that it was given come first, in its place."""

    backend: Backend
    recorded: deque[list[list[tuple[Any, ...]]]] = field(default_factory=deque)
    recording: Recording = field(default_factory=list)

    def generate(self, requests: Sequence[ModelRequest], n: int, sampling: Sampling) -> list[list[Completion]]:
        if self.recorded:
            rows = [[Completion(*values) for values in row] for row in self.recorded.popleft()]
        else:
            rows = self.backend.generate(requests, n, sampling)
        self.recording.append([[(c.token_ids, c.logprobs, c.text, c.finish_reason) for c in row] for row in rows])
        return rows

    def sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        return self.backend.sync(named_parameters)


__all__ = ["AsyncRollouts", "Batch", "Pending", "Recording", "RecordingBackend", "SyncRollouts"]
