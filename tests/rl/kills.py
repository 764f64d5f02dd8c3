"""Trainings under the loop that are killed at random points, SIGKILL, and must end as if nothing had happened.

`python -m tests.rl.kills <case> <model folder> <out folder> [<tries>]` plays one of CASES in forked children: once undisturbed,
then several times with kills at random events, and prints one JSON object: [outcome undisturbed, outcome after kills, ...].
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from agents.backends.base import ModelRequest, fingerprint
from agents.backends.vlm import load_vlm
from common.jsonl import Journal, read_jsonl
from rl import checkpoint
from rl.config import SFTConfig
from rl.sft import SFTExample, train_sft
from tests.experiments.tiny.trainings import CASES as RECIPES
from tests.rl import loop_runs
from tests.rl.runs import CONFIG, outcome, replace, run

Case = Callable[
    [Path, Path], Any
]  # trains to the end in a folder, from whatever is there; returns all that equal runs share
TRIES, KILLS = 2, 2  # trainings, and kills in each


def grpo(model: Path, folder: Path) -> Any:
    return outcome(run(model, folder), folder)


def async_grpo(model: Path, folder: Path) -> Any:
    return outcome(run(model, folder, replace(CONFIG, max_offpolicy_steps=1, steps=5)), folder)


def loop_grpo(model: Path, folder: Path) -> Any:
    return outcome(loop_runs.run(model, folder), folder)


def sft(model: Path, folder: Path) -> Any:
    def examples(step: int) -> list[SFTExample]:
        return [SFTExample(ModelRequest(f"say {k}"), f"answer {k}") for k in range(step, step + 3)]

    vlm = load_vlm(model)
    train_sft(SFTConfig(steps=6, batch_size=3, checkpoint_every=2, lr=1e-3, optimizer="muon"), vlm, examples, folder)
    rows = [{k: v for k, v in r.items() if not k.endswith("_per_s")} for r in read_jsonl(folder / "sft.jsonl")]
    return [fingerprint(vlm.model.named_parameters()).checksum, rows]


# every algorithm under the loop has a case here
CASES: dict[str, Case] = {"grpo": grpo, "async_grpo": async_grpo, "loop_grpo": loop_grpo, "sft": sft} | RECIPES


class Events:
    """Counts what a training does to its files and its weights, and kills the process at one of them."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.count, self.kill_at = 0, kill_at

    def before(self, owner: Any, name: str) -> None:
        """Every call of `owner.name` is an event from here on."""
        original = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count += 1
            return original(*args, **kwargs)

        setattr(owner, name, counted)

    def watch(self) -> None:
        self.before(Journal, "append")
        self.before(checkpoint._Hashing, "write")
        for name in ("fsync", "replace"):
            self.before(os, name)
        self.before(torch.Tensor, "backward")


def fork(work: Callable[[], Any], result: Path | None = None) -> int:
    """Run in a child, which writes what comes of it to `result`; its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            value = work()
            if result is not None:
                result.write_text(json.dumps(value))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def play(case: Case, model: Path, out: Path, kill_at: int | None = None) -> Any:
    events = Events(kill_at)
    events.watch()
    return [case(model, out), events.count]


def main(name: str, model: Path, out: Path, tries: int = TRIES) -> list[Any]:
    torch.set_num_threads(1)  # forking is safe only before any thread pool exists
    case, rng, file = CASES[name], random.Random(name), out / "result.json"
    outcomes = []
    events = 0
    for attempt in range(tries + 1):
        folder = out / str(attempt)
        for _ in range(KILLS if attempt else 0):
            point = rng.randrange(events)
            if (code := fork(lambda f=folder, k=point: play(case, model, f, k))) not in (0, -signal.SIGKILL):
                raise SystemExit(f"{name}, to be killed at event {point} of {events}: ended with {code}")
            print(
                f"{name} {attempt}: event {point} of {events}, {'finished before' if code == 0 else 'killed'}",
                file=sys.stderr,
            )
        if code := fork(lambda f=folder: play(case, model, f), file):
            raise SystemExit(f"{name}, attempt {attempt}: ended with {code}")
        result, count = json.loads(file.read_text())
        outcomes.append(result)
        events = events or count
    return outcomes


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:]))))
