"""`make bench-flow`: the speed of Flow-GRPO on the tiny FLUX Kontext, in one run.

* Edits a second of a rollout with G = 8, against the diffusers pipeline called once for each of them with as many steps.
* Seconds of the update when a window of steps is trained, against all noisy steps.
* Shares of a step's time in sampling, reward and update (`peer` is the whole step, in seconds, and `ratio` the share).

All in turns, medians. Writes outputs/bench/flow.json: {measure: {ours, peer, ratio, unit}}.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from common.files import write_json
from common.places import assets_folder
from common.plain_command import plain_command, read_options
from editors.loading import load_pipeline
from experiments.benches.editors.sides import SIDE, checkpoint, naive, pictures
from experiments.benches.flow.training import PHASES, checkpoint_editor, flow_training, seconds
from experiments.benches.machine import measured_on
from experiments.build.device import use_threads
from experiments.build.editors import KontextEditor
from experiments.build.engines import TorchEngine
from experiments.reports.screen import show_table
from experiments.runs.libraries import libraries_in_log
from rl.clock import Clock
from rl.flow_config import FlowGRPOConfig

GROUP = 8  # G
OUT = Path("outputs/bench/flow.json")


@dataclass(frozen=True)
class Options:
    threads: int = 2
    repeats: int = 5
    steps: int = 8  # of a trajectory
    prompts: int = 2  # of a step of training
    assets: str = f"{assets_folder()}/tiny"


def main(argv: Sequence[str]) -> None:
    options = read_options(Options, argv, "experiments.benches.flow")
    engine = TorchEngine(device="cpu", threads=options.threads, matmul="float32")
    use_threads(engine)
    with libraries_in_log(OUT.parent), TemporaryDirectory() as scratch:
        folder = checkpoint("flux_kontext", Path(options.assets), Path(scratch))
        editor = checkpoint_editor(folder, options.steps, SIDE * SIDE)
        table = {"rollout_g8_vs_pipeline": compare_rollouts(editor, engine, options)}
        table |= compare_windows(editor, engine, options)
    write_json(OUT, table)
    show(table, f"Flow-GRPO: {SIDE} x {SIDE}, {options.steps} steps, {options.threads} threads", OUT)


def settings(options: Options, prompts: int, window: int) -> FlowGRPOConfig:
    together = prompts * GROUP
    return FlowGRPOConfig(
        prompts_per_step=prompts, group_size=GROUP, sampling_steps=options.steps, window_size=window, lr=1e-6,
        noise_level=0.7, micro_batch_size=GROUP, rollout_batch_size=together,
    )  # fmt: skip


def compare_rollouts(editor: KontextEditor, engine: TorchEngine, options: Options) -> dict[str, Any]:
    """Edits a second: one group, encoded once and sampled together, and as many calls of the pipeline."""
    sampler = flow_training(editor, engine, settings(options, 1, 0)).algorithm.sampler
    pipe, work = load_pipeline(editor.checkpoint, editor.kind), pictures(1)

    def ours(turn: int) -> float:
        clock = Clock()
        sampler.draw(turn, [0], clock)
        return clock.seconds["rollout"]

    def peer(turn: int) -> float:
        start = time.perf_counter()
        for g in range(GROUP):
            naive(editor, pipe, work.images[0], work.instructions[0], GROUP * turn + g)
        return time.perf_counter() - start

    mine, theirs = in_turns((ours, peer), options.repeats)
    return row(GROUP / mine, GROUP / theirs, theirs / mine, "edits/s")


def compare_windows(editor: KontextEditor, engine: TorchEngine, options: Options) -> dict[str, dict[str, Any]]:
    """Seconds of the update by the number of steps that are trained, and the shares of a step with all of them."""
    sizes = [size for size in (1, 2, 4) if size < options.steps - 1]
    trainings = [flow_training(editor, engine, settings(options, options.prompts, size)) for size in (*sizes, 0)]
    phases: list[list[dict[str, float]]] = [[] for _ in trainings]
    for turn in range(1 + options.repeats):
        for own, training in zip(phases, trainings, strict=True):
            own.append(seconds(training, turn))
    update = [statistics.median(p["train"] for p in own[1:]) for own in phases]
    table = {
        f"train_window_{size}_vs_all": row(mine, update[-1], update[-1] / mine, "s")
        for size, mine in zip(sizes, update, strict=False)
    }
    for name, own in (("all", phases[-1]), *((f"window_{size}", p) for size, p in zip(sizes, phases, strict=False))):
        median = {phase: statistics.median(p[phase] for p in own[1:]) for phase in PHASES}
        whole = sum(median.values())
        table |= {f"share_{phase}_{name}": row(median[phase], whole, median[phase] / whole, "s") for phase in PHASES}
    return table


def in_turns(sides: tuple[Callable[[int], float], ...], repeats: int) -> list[float]:
    """The median seconds of each side, after one turn to warm up; the order changes from turn to turn."""
    times: dict[int, list[float]] = {index: [] for index in range(len(sides))}
    for turn in range(1 + repeats):
        for index in sorted(times, reverse=bool(turn % 2)):
            times[index].append(sides[index](turn))
    return [statistics.median(values[1:]) for values in times.values()]


def row(ours: float, peer: float, ratio: float, unit: str) -> dict[str, Any]:
    return {"ours": round(ours, 4), "peer": round(peer, 4), "ratio": round(ratio, 3), "unit": unit}


def show(table: dict[str, dict[str, Any]], title: str, out: Path) -> None:
    shown = Table(title=f"{title}; {measured_on()}")
    for column in ("measure", "ours", "peer", "ratio", "unit"):
        shown.add_column(column, justify="left" if column in ("measure", "unit") else "right")
    for name, values in table.items():
        shown.add_row(name, *(str(values[key]) for key in ("ours", "peer", "ratio", "unit")))
    show_table(shown)
    print(f"written to {out}")


if __name__ == "__main__":
    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
