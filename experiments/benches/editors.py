"""`make bench-editors`: pictures a second, edited eight at a time here and one by one by the diffusers pipeline.

The same pictures, instructions, seeds, steps and sizes on both sides, in one process, in turns; medians. The results are compared
too: a speed for other pictures would be worth nothing. Writes outputs/bench/editors.json: {measure: {ours, peer, ratio, unit}}.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.base import explicit_instruction
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput, RunFailed
from conf.schema import EditorConfig, EngineConfig
from editors.loading import load_pipeline
from experiments.build.device import use_threads
from experiments.build.editors import make_editor
from experiments.runs.libraries import quiet_libraries

USAGE = "python -m experiments.benches.editors [threads=2] [repeats=5] [steps=8] [true_cfg=1.0] [assets=assets/tiny]"
SIDE, BATCH, LEVELS = 64, 8, 2  # LEVELS: of 255, by which rounding may part two ways to the same picture
FOLDERS = {"qwen": "qwen_image_edit", "flux_kontext": "flux_kontext"}
OUT = Path("outputs/bench/editors.json")


@dataclass(frozen=True)
class Work:
    """What both sides are given."""

    images: Sequence[Image.Image]
    instructions: Sequence[str]
    seeds: Sequence[int]


def main(argv: Sequence[str]) -> None:
    options = {"threads": "2", "repeats": "5", "steps": "8", "true_cfg": "1.0", "assets": "assets/tiny"}
    for word in argv:
        key, found, value = word.partition("=")
        if not found or key not in options:
            raise BadInput(f"cannot read '{word}'; usage: {USAGE}")
        options[key] = value
    try:
        threads, repeats, steps = (int(options[key]) for key in ("threads", "repeats", "steps"))
        true_cfg = float(options["true_cfg"])
    except ValueError as error:
        raise BadInput(f"{error}; usage: {USAGE}") from error
    engine = EngineConfig("torch", device="cpu", threads=threads)
    use_threads(engine)
    quiet_libraries(False)
    many = pictures()
    one = Work([many.images[0]] * BATCH, [many.instructions[0]] * BATCH, many.seeds)
    table: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory() as made:
        for kind in FOLDERS:
            config = EditorConfig(
                kind,
                kind,
                checkpoint=str(checkpoint(kind, Path(options["assets"]), Path(made))),
                steps=steps,
                true_cfg=true_cfg,
                area=SIDE * SIDE,
                batch_size=BATCH,
                max_sequence_length=64,
            )
            name = "" if kind == "qwen" else f"_{kind}"
            ours, peer = sides(config, engine)
            table[f"edit_batch8_vs_naive{name}"] = compare(ours, peer, many, repeats)
            table[f"edit_group8_vs_naive{name}"] = compare(ours, peer, one, repeats)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(table, indent=1) + "\n")
    show(table, f"{SIDE} x {SIDE}, {steps} steps, {threads} threads, true_cfg {true_cfg}")


def pictures() -> Work:
    """Eight sandbox pictures, each with the first of its edits."""
    bench = SandboxBenchmark("train", 5)
    samples = [bench.sample(i) for i in range(BATCH)]
    return Work([s.image for s in samples], [explicit_instruction(s.gold[0]) for s in samples], range(BATCH))


Side = Callable[[Work], list[Image.Image]]


def sides(config: EditorConfig, engine: EngineConfig) -> tuple[Side, Side]:
    """(the editor that runs use, the pipeline in a loop), on two copies of the same checkpoint."""
    editor, pipe = make_editor(config, engine), load_pipeline(config.checkpoint, config.kind)

    def ours(work: Work) -> list[Image.Image]:
        return editor.edit(work.images, work.instructions, work.seeds)

    def peer(work: Work) -> list[Image.Image]:
        with working_size():
            return [naive(config, pipe, *row) for row in zip(*vars(work).values(), strict=True)]

    return ours, peer


def checkpoint(kind: str, assets: Path, scratch: Path) -> Path:
    """The tiny checkpoint, or, where it is not there yet, its shape with random weights (the speed is the same)."""
    if (folder := assets / FOLDERS[kind] / "model_index.json").is_file():
        return folder.parent
    from agents.backends.vlm import load_vlm
    from editors.tiny import tiny_kontext_pipeline, tiny_qwen_pipeline

    words = {word for text in pictures().instructions for word in text.split()}
    qwen = kind == "qwen"
    pipe = tiny_qwen_pipeline(load_vlm(assets / "decomposer")) if qwen else tiny_kontext_pipeline(sorted(words))
    pipe.save_pretrained(scratch / kind)
    return scratch / kind


def naive(config: EditorConfig, pipe: Any, image: Image.Image, instruction: str, seed: int) -> Image.Image:
    """One call of the pipeline, as its documentation shows it."""
    own = {"max_area": SIDE * SIDE, "_auto_resize": False} if config.kind == "flux_kontext" else {}
    return pipe(
        image=image,
        prompt=instruction,
        negative_prompt=config.negative_prompt if config.true_cfg > 1 else None,
        true_cfg_scale=config.true_cfg,
        num_inference_steps=config.steps,
        width=SIDE,
        height=SIDE,
        generator=torch.Generator().manual_seed(seed),
        max_sequence_length=config.max_sequence_length,
        **own,
    ).images[0]


@contextmanager
def working_size() -> Iterator[None]:
    """The Qwen pipeline always works at one megapixel; here at the size of the pictures, so that both do the same work."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit as module

    own = module.calculate_dimensions
    with patch.object(module, "calculate_dimensions", lambda _, ratio: own(SIDE * SIDE, ratio)):
        yield


def compare(ours: Side, peer: Side, work: Work, repeats: int) -> dict[str, Any]:
    """Pictures a second on both sides, measured in turns. Raises RunFailed where the pictures differ."""
    apart = max(
        int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max())
        for a, b in zip(ours(work), peer(work), strict=True)  # this is the warm-up, too
    )
    if apart > LEVELS:
        raise RunFailed(f"the two sides' pictures differ by {apart} of 255 levels; their speeds cannot be compared")
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
    shown = Table(title=f"Pictures a second: {how}")
    for column in ("editor", "work", "ours, batch 8", "pipeline in a loop", "ratio"):
        shown.add_column(column, justify="left" if column in ("editor", "work") else "right")
    for key, row in table.items():
        work, _, kind = key.partition("_vs_naive")
        shown.add_row(kind.strip("_") or "qwen", names[work], f"{row['ours']}", f"{row['peer']}", f"{row['ratio']}")
    Console().print(shown)
    print(f"written to {OUT}")


if __name__ == "__main__":
    from experiments.runs.cli import plain_command

    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
