"""`make bench-sessions`: the speed of session rollouts with the tiny writer and the tiny Qwen editor, in one run.

* Turns a second with all trajectories of a step together, against one trajectory after another. They are the same trajectories:
  `pictures_off` is the greatest difference of two of their pictures, in grey levels of 255.
* Shares of a training step in rollouts, reward and update (`peer` is the whole step, in seconds, and `ratio` the share).

In turns, medians. Writes outputs/bench/sessions.json: {measure: {ours, peer, ratio, unit}}.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.files import write_json
from common.plain_command import plain_command, read_options
from conf.parts import build
from experiments.benches.flow.__main__ import in_turns, row, show
from experiments.build.device import use_threads
from experiments.runs.cli import typed
from experiments.runs.composing import compose
from experiments.runs.libraries import libraries_in_log
from experiments.runs.session_rl import session_tools
from rl.clock import Clock
from rl.session_rollouts import TurnRollout

OUT = Path("outputs/bench/sessions.json")


@dataclass(frozen=True)
class Options:
    threads: int = 1
    repeats: int = 3
    sessions: int = 4
    group: int = 6


def main(argv: Sequence[str]) -> None:
    options = read_options(Options, argv, "experiments.benches.sessions")
    words = [f"algo.sessions_per_step={options.sessions}", f"algo.group_size={options.group}"]
    config = typed(
        compose(
            "run",
            [
                "experiment=edit_r2",
                f"engine.threads={options.threads}",
                "engine.device=cpu",
                "engine.matmul=float32",
                *words,
            ],
        )
    )
    use_threads(config.engine)
    with libraries_in_log(OUT.parent):
        training: Any = build(config.algo, session_tools(config))
        table = compare_rollouts(training.algorithm.sampler, options) | shares(training.algorithm, options)
    write_json(OUT, table)
    off = table["rollouts_together_vs_apart"]["pictures_off"]
    print(f"pictures differ by at most {off} of 255 grey levels")
    show(
        table,
        f"Session RL: {options.sessions} sessions of {config.algo.turns} turns x {options.group}, {options.threads} thread",
        OUT,
    )


def compare_rollouts(sampler: Any, options: Options) -> dict[str, Any]:
    members = [(j, g) for j in range(options.sessions) for g in range(options.group)]
    made: dict[str, list[list[TurnRollout]]] = {}

    def together(turn: int) -> float:
        start = time.perf_counter()
        made["together"] = sampler.play(turn, members, Clock())
        return time.perf_counter() - start

    def one_by_one(turn: int) -> float:
        start = time.perf_counter()
        made["apart"] = [own for member in members for own in sampler.play(turn, [member], Clock())]
        return time.perf_counter() - start

    mine, theirs = in_turns((together, one_by_one), options.repeats)
    turns = sum(map(len, made["together"]))
    off = max(
        int(np.abs(np.asarray(a.edit.picture, int) - np.asarray(b.edit.picture, int)).max())
        for one, other in zip(made["together"], made["apart"], strict=True)
        for a, b in zip(one, other, strict=True)
    )
    rate = row(turns / mine, turns / theirs, theirs / mine, "turns/s")
    return {"rollouts_together_vs_apart": rate | {"pictures_off": off}}


def shares(algorithm: Any, options: Options) -> dict[str, dict[str, Any]]:
    """Of a whole step of training."""
    phases: dict[str, list[float]] = {"rollout": [], "reward": [], "train": []}
    for k in range(1 + options.repeats):
        metrics = algorithm.step(k, Clock()).metrics
        for name, values in phases.items():
            values.append(metrics[f"time/{name}"])
    median = {name: statistics.median(values[1:]) for name, values in phases.items()}
    whole = sum(median.values())
    return {f"share_{name}": row(seconds, whole, seconds / whole, "s") for name, seconds in median.items()}


if __name__ == "__main__":
    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
