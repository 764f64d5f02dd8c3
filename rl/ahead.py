"""Rollouts ahead of training: while step s trains, a thread of its own draws the batch of step s + L with the weights of
step s, L = `max_offpolicy_steps`. The schedule is fixed, not a race: every run with the same L draws the same batches.

What was drawn and not trained on yet is part of a checkpoint, since the weights that drew it are gone when it is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from torch import Tensor

from agents.backends.base import Backend, Completion, Request, Sampling, SyncReport
from common.errors import BadInput
from rl.clock import Clock
from rl.rollouts import Collector, Group

Weights: TypeAlias = Callable[[], Iterable[tuple[str, Tensor]]]
# of every call of the backend: per request, per completion, its fields
Tape: TypeAlias = list[list[list[tuple[Any, ...]]]]
Drawn: TypeAlias = dict[int, tuple[int, Tape]]  # step -> whose weights drew its batch, and the answers


@dataclass
class Taped:
    """A backend that notes what the real one answers; answers that it was given at the start come first, instead."""

    backend: Backend
    given: deque[list[list[tuple[Any, ...]]]] = field(default_factory=deque)
    tape: Tape = field(default_factory=list)

    def generate(self, requests: Sequence[Request], n: int, sampling: Sampling) -> list[list[Completion]]:
        if self.given:
            rows = [[Completion(*values) for values in row] for row in self.given.popleft()]
        else:
            rows = self.backend.generate(requests, n, sampling)
        self.tape.append([[(c.token_ids, c.logprobs, c.text, c.finish_reason) for c in row] for row in rows])
        return rows

    def sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        return self.backend.sync(named_parameters)


@dataclass(frozen=True)
class Batch:
    """What `Collector.collect` gave, the seconds it took, how many steps old the weights were, and the backend's answers."""

    groups: list[Group]
    drawn: list[Group]
    seconds: dict[str, float]
    lag: int
    tape: Tape


class Ahead:
    """Batches in the order of their steps, up to `lag` (1 or more) of them drawn before they are asked for."""

    def __init__(self, collector: Collector, lag: int, steps: int) -> None:
        self.collector, self.lag, self.steps = collector, lag, steps
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="rollouts")
        self.pending: dict[int, Future[Batch]] = {}

    def start(self, done: int, state: Drawn, weights: Weights) -> None:
        """Draw the first batches after step `done` with its weights, or play those of a checkpoint. Raises BadInput where the
        backend has no weights of its own: training would change them under its hands."""
        held = getattr(self.collector.backend, "vlm", None)
        places = set() if held is None else {p.data_ptr() for p in held.model.parameters()}
        if any(value.data_ptr() in places for _, value in weights()):
            raise BadInput("rollouts ahead of training need a model of their own, not the one under training")
        for step in range(done, min(done + self.lag, self.steps)):
            self._submit(step, *state.get(step, (done, [])), None)

    def take(self, step: int) -> Batch:
        """The batch of this step; waits for it. Raises what its drawing raised."""
        return self.pending.pop(step).result()

    def refresh(self, done: int, weights: Weights) -> SyncReport | None:
        """Give the backend the weights of step `done` and draw the batch that is theirs. While the backend still draws, they
        are copied and handed over when it is free; otherwise they are handed over here. Every rank must call it."""
        busy = any(not future.done() for future in self.pending.values())
        kept = [(name, value.detach().clone()) for name, value in weights()] if busy else None
        report = None if busy else self.collector.backend.sync(weights())
        if done + self.lag < self.steps:
            self._submit(done + self.lag, done, [], kept)
        return report

    def _submit(self, step: int, version: int, given: Tape, weights: list[tuple[str, Tensor]] | None) -> None:
        def draw() -> Batch:
            clock, backend = Clock(), Taped(self.collector.backend, deque(given))
            if weights is not None:
                with clock("sync"):
                    backend.sync(weights)
            groups, drawn = replace(self.collector, backend=backend).collect(step, clock)
            return Batch(groups, drawn, dict(clock.seconds), step - version, backend.tape)

        self.pending[step] = self.thread.submit(draw)

    def state(self) -> Drawn:
        """The answers of all batches not asked for yet; waits for them."""
        batches = {step: future.result() for step, future in sorted(self.pending.items())}
        return {step: (step - batch.lag, batch.tape) for step, batch in batches.items()}

    def close(self) -> None:
        """Ends the thread after what it is at; what waits is dropped."""
        self.thread.shutdown(wait=True, cancel_futures=True)


__all__ = ["Ahead", "Batch", "Drawn", "Taped"]
