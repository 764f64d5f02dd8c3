"""`make bench-editors`: pictures a second, edited eight at a time here and one by one by the diffusers pipeline.

The same pictures, instructions, seeds, steps and sizes on both sides, in one process, in turns; medians. The results are compared
too: a speed for other pictures would be worth nothing. Writes outputs/bench/editors.json: {measure: {ours, peer, ratio, unit}}.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.table import Table

from common.errors import BadInput, RunFailed
from common.files import write_json
from common.places import assets_folder
from common.plain_command import plain_command, read_options
from experiments.benches.editors import approximate
from experiments.benches.editors.sides import FOLDERS, SIDE, Side, Work, checkpoint, pictures, sides
from experiments.benches.machine import measured_on
from experiments.build.device import use_threads
from experiments.build.editors import KontextEditor, QwenEditor
from experiments.build.engines import TorchEngine
from experiments.reports.screen import show_table
from experiments.runs.libraries import libraries_in_log

BATCH, LEVELS = 8, 2  # LEVELS: of 255, by which rounding may part two ways to the same picture
OUT, APPROXIMATE = Path("outputs/bench/editors.json"), Path("outputs/bench/editors_approximate.json")


EDITORS = {"qwen": QwenEditor, "flux_kontext": KontextEditor}


@dataclass(frozen=True)
class Options:
    threads: int = 2
    repeats: int = 5
    steps: int = 8
    true_cfg: float = 1.0
    table: str = "speed"  # approximate: what quantised weights and a first-block cache save and change
    cache_threshold: float = 0.1  # of the first-block cache
    assets: str = f"{assets_folder()}/tiny"


def main(argv: Sequence[str]) -> None:
    options = read_options(Options, argv, "experiments.benches.editors")
    if options.table not in ("speed", "approximate"):
        raise BadInput(f"table={options.table} is unknown; choose speed or approximate")
    engine = TorchEngine(device="cpu", threads=options.threads)
    use_threads(engine)
    different = pictures(BATCH)
    same = Work([different.images[0]] * BATCH, [different.instructions[0]] * BATCH, different.seeds)
    table: dict[str, dict[str, Any]] = {}
    with libraries_in_log(OUT.parent), TemporaryDirectory() as scratch:
        for kind in FOLDERS:
            config = EDITORS[kind](
                kind,
                checkpoint=str(checkpoint(kind, Path(options.assets), Path(scratch))),
                steps=options.steps,
                true_cfg=options.true_cfg,
                area=SIDE * SIDE,
                batch_size=BATCH,
                max_sequence_length=64,
            )
            if options.table == "approximate":
                table[kind] = approximate.compare(config, engine, different, options.cache_threshold)
                continue
            name = "" if kind == "qwen" else f"_{kind}"
            ours, peer = sides(config, engine)
            table[f"edit_batch8_vs_naive{name}"] = compare(ours, peer, different, options.repeats)
            table[f"edit_group8_vs_naive{name}"] = compare(ours, peer, same, options.repeats)
    if options.table == "approximate":
        write_json(APPROXIMATE, table)
        show_approximate(table, f"{SIDE} x {SIDE}, {options.steps} steps, true_cfg {options.true_cfg}")
        return
    write_json(OUT, table)
    show(table, f"{SIDE} x {SIDE}, {options.steps} steps, {options.threads} threads, true_cfg {options.true_cfg}")


def compare(ours: Side, peer: Side, work: Work, repeats: int) -> dict[str, Any]:
    """Pictures a second on both sides, measured in turns. Raises RunFailed where the pictures differ."""
    difference = max(
        int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max())
        for a, b in zip(ours(work), peer(work), strict=True)  # this is the warm-up, too
    )
    if difference > LEVELS:
        raise RunFailed(
            f"the two sides' pictures differ by {difference} of 255 levels; their speeds cannot be compared"
        )
    times: dict[Side, list[float]] = {ours: [], peer: []}
    for turn in range(repeats):
        for side in (ours, peer) if turn % 2 == 0 else (peer, ours):
            start = time.perf_counter()
            side(work)
            times[side].append(time.perf_counter() - start)
    mine, theirs = (BATCH / statistics.median(times[side]) for side in (ours, peer))
    return {
        "ours": round(mine, 2),
        "peer": round(theirs, 2),
        "ratio": round(mine / theirs, 2),
        "unit": "pictures/s",
    }


def show(table: dict[str, dict[str, Any]], how: str) -> None:
    names = {"edit_batch8": "8 pictures", "edit_group8": "8 variants of one"}
    shown = Table(title=f"Pictures a second: {how}; {measured_on()}")
    for column in ("editor", "work", "ours, batch 8", "pipeline in a loop", "ratio"):
        shown.add_column(column, justify="left" if column in ("editor", "work") else "right")
    for key, row in table.items():
        work, _, kind = key.partition("_vs_naive")
        shown.add_row(kind.strip("_") or "qwen", names[work], f"{row['ours']}", f"{row['peer']}", f"{row['ratio']}")
    show_table(shown)
    print(f"written to {OUT}")


def show_approximate(table: dict[str, dict[str, Any]], how: str) -> None:
    shown = Table(title=f"Approximations of editors: {how}; {measured_on()}")
    columns = ("editor", "arm", "weights, MB", "denoiser, MB", "blocks computed", "mean difference of 255", "PSNR, dB")
    for column in columns:
        shown.add_column(column, justify="left" if column in ("editor", "arm") else "right")
    for kind, rows in table.items():
        for arm, row in rows.items():
            if "why" in row:
                print(f"{kind}, {arm}: left out, it needs {row['why']}")
                continue
            psnr = "–" if row["psnr_db"] is None else f"{row['psnr_db']}"
            values = [row["weights_mb"], row["denoiser_mb"], row["block_calls"], row["mean_difference"]]
            shown.add_row(kind, arm if arm == "exact" else f"{arm} (approximate)", *map(str, values), psnr)
    show_table(shown)
    print(f"written to {APPROXIMATE}")


if __name__ == "__main__":
    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
