"""Measuring in turns: sides that are asked one after the other, in alternating order, so that whatever else the machine
does meets all of them. Medians with the whole range."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import RunFailed


@dataclass(frozen=True)
class Times:
    """Seconds of one side's repetitions."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def rate(self, work: float = 1.0) -> float:
        return work / self.median

    def rates(self, work: float = 1.0) -> list[float]:
        """Slowest and fastest."""
        return [work / max(self.seconds), work / min(self.seconds)]


def in_turns(sides: Sequence[Callable[[], float]], repeats: int) -> list[Times]:
    """Seconds that each side says it took, `repeats` times each; every other round goes backwards. Warm up before."""
    seconds: list[list[float]] = [[] for _ in sides]
    for turn in range(repeats):
        order = range(len(sides))
        for k in order if turn % 2 == 0 else reversed(order):
            seconds[k].append(sides[k]())
    return [Times(tuple(s)) for s in seconds]


def timed(work: Callable[[], Any]) -> Callable[[], float]:
    def side() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return side


def row(ours: Times, peer: Times, unit: str, work: float = 1.0, peer_work: float | None = None) -> dict[str, Any]:
    """One measure of outputs/bench/rl.json: rates of `work` per repetition, `ratio` above 1 where ours is the faster, and
    the slowest and fastest repetition of each side."""
    peer_work = work if peer_work is None else peer_work
    mine, theirs = ours.rate(work), peer.rate(peer_work)
    return {
        "ours": round(mine, 4),
        "peer": round(theirs, 4),
        "ratio": round(mine / theirs, 2),
        "unit": unit,
        "ours_range": [round(x, 4) for x in ours.rates(work)],
        "peer_range": [round(x, 4) for x in peer.rates(peer_work)],
        "repeats": len(ours.seconds),
    }


class Child:
    """A process that does one step per line of its stdin (the other end is `trl_step.Line`). A context manager."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.name, self.log = name, log
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=os.environ | environment,
            )  # fmt: skip

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def hear(self) -> dict[str, Any]:
        """The next message. Raises RunFailed with the end of the child's log where none comes."""
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        message = json.loads(text) if text else {"error": f"it ended without an answer; the end of {self.log}:"}
        if "error" in message:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
            raise RunFailed(f"{self.name}: {message['error']}\n{tail}")
        return message

    def step(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("step\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its last words say why
        return self.hear()


__all__ = ["Child", "Times", "in_turns", "row", "timed"]
