"""The one resumable loop over steps. Only here are resumption, journals, signals, checkpoints and the limits of a training.

A training is an `Algorithm`. In `folder` it has `<name>.jsonl` (one row of metrics per step), `<name>-rows.jsonl` where steps have
rows of their own, and `checkpoints-<name>/`. The main training of a folder has no name: `metrics.jsonl`, `samples.jsonl` and
`checkpoints/`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from common.errors import BadInput, RunFailed
from common.jsonl import Journal, read_jsonl
from common.signals import StopSignal
from rl.checkpoint import Checkpoints, rng_state, set_rng_state
from rl.clock import Clock

logger = logging.getLogger(__name__)
Log = Callable[[dict[str, float]], None]
Progress = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class StepResult:
    """What a step leaves: its metrics, rows for the journal of samples, and whether it had anything to learn from."""

    metrics: dict[str, float]
    rows: list[dict[str, Any]] = field(default_factory=list)
    usable: bool = True


class Algorithm(Protocol):
    def step(self, k: int, clock: Clock) -> StepResult:
        """Step k (from 0). What it does must depend on k and on the state alone, so that a resumed training is the same one.
        It times its phases by `clock` and may call `clock.safe_point()` while its state is still that of step k - 1."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes (tensors, numbers, strings and containers of them). Every rank calls it; rank 0 saves."""
        ...

    def load_state_dict(self, state: Any) -> None: ...


class Ranks(Protocol):
    """The processes that train together; every engine is one."""

    rank: int
    world_size: int

    def all_gather(self, value: Any) -> list[Any]: ...


class OneProcess:
    """`Ranks` of a training in one process."""

    rank = 0
    world_size = 1

    def all_gather(self, value: Any) -> list[Any]:
        return [value]


@dataclass(frozen=True)
class LoopState:
    """Where a training ended: completed steps, how many of them earlier processes did, and the last step's metrics."""

    step: int
    resumed_from: int
    metrics: dict[str, float]
    stopped: str = ""  # why it ended before its last step


def run_loop(
    algorithm: Algorithm,
    *,
    name: str,
    steps: int,
    identity: Mapping[str, Any],
    folder: str | Path,
    checkpoint_every: int,
    ranks: Ranks | None = None,
    keep_checkpoints: int = 2,
    max_missing_steps: int | None = None,
    log: Log | None = None,
    progress: Progress | None = None,
    stopped: Callable[[], str] = str,
) -> LoopState:
    """Train until `steps` are done, going on from the folder's newest checkpoint. Every rank calls it.

    `identity` is what another training would differ in (plain values). `log` gets each step's metrics on every rank, `progress`
    (done, steps, metrics). `stopped` says why the algorithm wants no further step, "" while it wants one (the same on every
    rank): the training then ends with its checkpoint. SIGINT and SIGTERM save the last whole step and raise KeyboardInterrupt.
    Raises BadInput where the folder holds another training, RunFailed after `max_missing_steps` steps in a row without anything
    to learn from, SaveFailed when the disk refuses.
    """
    loop = _Loop(algorithm, name, identity, Path(folder), ranks or OneProcess(), keep_checkpoints)
    loop.resume()
    first = loop.done
    with StopSignal() as stop:
        clock = Clock()
        clock.safe_point = partial(loop.leave_if_asked, stop, clock)
        while loop.done < steps and not stopped():
            result = algorithm.step(loop.done, clock)
            loop.missing = 0 if result.usable else loop.missing + 1
            limit = {} if max_missing_steps is None else {"update/missing_steps": float(loop.missing)}
            loop.record({"step": loop.done + 1, **result.metrics, **limit}, result.rows)
            if log is not None:
                log(loop.metrics)
            if progress is not None:
                progress(loop.done, steps, loop.metrics)
            if max_missing_steps is not None and loop.missing >= max_missing_steps:
                raise RunFailed(
                    f"step {loop.done}: {loop.missing} consecutive steps had no usable reward; see the components in "
                    f"{loop.rows.path}. The checkpoint of step {loop.saved} is intact"
                )
            if loop.done % checkpoint_every == 0 or loop.done == steps or stopped():
                loop.save(clock)
            loop.leave_if_asked(stop, clock)
    if why := stopped():
        logger.warning("%s ends after step %d of %d: %s", loop.name, loop.done, steps, why)
    return LoopState(loop.done, first, loop.metrics, why)


class _Loop:
    """The state of a training, and its files."""

    def __init__(
        self, algorithm: Algorithm, name: str, identity: Mapping[str, Any], folder: Path, ranks: Ranks, keep: int
    ) -> None:
        self.algorithm, self.ranks, self.identity = algorithm, ranks, dict(identity)
        self.name, self.first = name or "training", ranks.rank == 0
        self.checkpoints = Checkpoints(folder / (f"checkpoints-{name}" if name else "checkpoints"), keep)
        self.journal = Journal(folder / f"{name or 'metrics'}.jsonl")
        self.rows = Journal(folder / (f"{name}-rows.jsonl" if name else "samples.jsonl"))
        self.done = self.saved = self.missing = 0
        self.metrics: dict[str, float] = {}

    def resume(self) -> None:
        """Load the newest whole checkpoint, where there is one, and cut the journals after its step."""
        newest = self.checkpoints.latest()
        if len(seen := set(self.ranks.all_gather(newest and newest[0]))) > 1:
            raise RunFailed(
                f"ranks see different newest checkpoints in {self.checkpoints.folder} ({seen}): is it a shared folder?"
            )
        if newest is not None:
            self.done, state = newest
            self._check(state["identity"])
            self.algorithm.load_state_dict(state["algorithm"])
            set_rng_state(state["rng"])
            self.missing, self.saved = state["missing"], self.done
            logger.info("%s goes on after step %d", self.name, self.done)
        if self.first:
            for journal in (self.journal, self.rows):
                journal.cut_after(self.done)
            rows = read_jsonl(self.journal.path) if self.journal.path.exists() else []
            self.metrics = rows[-1] if rows else {}

    def _check(self, theirs: Mapping[str, Any]) -> None:
        if odd := sorted(k for k in {*self.identity, *theirs} if self.identity.get(k) != theirs.get(k)):
            raise BadInput(
                f"{self.checkpoints.folder} holds another training (it differs in {', '.join(odd)}); choose another folder"
            )

    def record(self, metrics: dict[str, float], rows: list[dict[str, Any]]) -> None:
        """Note a completed step. Rows come first: a kill in between leaves rows that are cut off, never metrics without them."""
        if self.first:
            if rows:
                self.rows.append(rows)
            self.journal.append([metrics])
        self.done, self.metrics = self.done + 1, metrics

    def save(self, clock: Clock) -> None:
        if self.saved == self.done:
            return
        with clock("checkpoint"):
            state = {
                "identity": self.identity,
                "algorithm": self.algorithm.state_dict(),
                "rng": rng_state(),
                "missing": self.missing,
            }
            if self.first:
                self.rows.flush()
                self.journal.flush()
                self.checkpoints.save(self.done, state)
            self.ranks.all_gather(self.done)  # nobody goes on, or leaves, before it is written
        self.saved = self.done

    def leave_if_asked(self, stop: StopSignal, clock: Clock) -> None:
        """All ranks leave together, whichever of them got the signal."""
        if any(self.ranks.all_gather(stop.requested)):
            self.save(clock)
            raise KeyboardInterrupt(f"{self.name} stopped after step {self.done}; the same command goes on from there")


__all__ = ["Algorithm", "LoopState", "OneProcess", "Ranks", "StepResult", "run_loop"]
