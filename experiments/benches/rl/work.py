"""The work that is measured: prompts with a picture, and answers of one length, for every side alike."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.backends.base import ModelRequest
from agents.backends.vlm import VLM, load_vlm, save_vlm
from agents.decomposer import build_request
from agents.prompt_files import load_prompt
from benchmarks.base import EditSample
from benchmarks.sandbox.generate import SandboxBenchmark
from experiments.benches.rl.models import tiny_random

BATCHES = 4  # of different prompts, then the first comes again


@dataclass(frozen=True)
class Shape:
    """`side`: of the pictures, in pixels (one token per 16 x 16). Every answer has `answer_tokens`: the end token is
    banned on all sides, so that no side is faster for answering less."""

    prompts: int = 8
    group: int = 8
    answer_tokens: int = 40
    side: int = 192


class Scored:
    """A reward of one number."""

    def __init__(self, total: float) -> None:
        self.total: float | None = total
        self.components: dict[str, float | None] = {"vowels": total}


def samples(shape: Shape, count: int) -> list[EditSample]:
    bench = SandboxBenchmark("train", 5, size=shape.side)
    return [bench.sample(i) for i in range(count)]


def requests(given: list[EditSample]) -> list[ModelRequest]:
    """As the decomposer asks."""
    template = load_prompt("decompose_tiny")
    return [build_request(template, s) for s in given]


def endless(vlm: VLM) -> VLM:
    """The same VLM with the end token banned."""
    vlm.banned_ids = tuple(sorted({*vlm.banned_ids, vlm.eos_id}))
    return vlm


def roomy_checkpoint(checkpoint: Path, side: int, folder: Path) -> Path:
    """A copy whose image processor leaves pictures of this side as large as they are."""
    shutil.copytree(checkpoint, folder, dirs_exist_ok=True)
    file = folder / "preprocessor_config.json"
    config = json.loads(file.read_text())
    config["size"]["longest_edge"] = side * side
    file.write_text(json.dumps(config))
    return folder


def write_settings(shape: Shape, checkpoint: Path, folder: Path, weights: str = "trained", **more: Any) -> Path:
    """Everything both sides of the step bench need, as files: model, prompts, pictures, numbers. Returns the settings' path.
    Under random weights no two answers begin alike and hardly any group agrees: nothing but prompts is left to share."""
    folder.mkdir(parents=True, exist_ok=True)
    model = roomy_checkpoint(checkpoint, shape.side, folder / "model")
    if weights == "random":
        save_vlm(tiny_random(checkpoint, 256, shape.side), model)
    chosen = samples(shape, shape.prompts * BATCHES)
    rows = []
    for n, (sample, request) in enumerate(zip(chosen, requests(chosen), strict=True)):
        picture = folder.absolute() / f"{n:03}.png"
        request.images[0].convert("RGB").save(picture)
        rows.append({"id": sample.id, "text": request.text, "image": str(picture)})
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    settings = vars(shape) | {
        "model": str(model.absolute()),
        "rows": str(folder.absolute() / "rows.jsonl"),
        "scratch": str(folder.absolute() / "scratch"),
        "banned": list(endless(load_vlm(model)).banned_ids),
        **more,
    }
    path = folder / "settings.json"
    path.write_text(json.dumps(settings))
    return path


__all__ = ["BATCHES", "Scored", "Shape", "endless", "requests", "roomy_checkpoint", "samples", "write_settings"]
