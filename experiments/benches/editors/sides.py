"""The two sides of the bench: the editor that runs use, and the diffusers pipeline called once for each picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image

from benchmarks.base import explicit_instruction
from benchmarks.sandbox.generate import SandboxBenchmark
from editors.loading import load_pipeline
from experiments.build.editors import DiffusionEditor, make_editor
from experiments.build.engines import TorchEngine

SIDE = 64  # of the pictures, in pixels
FOLDERS = {"qwen": "qwen_image_edit", "flux_kontext": "flux_kontext"}


@dataclass(frozen=True)
class Work:
    """What both sides are given."""

    images: Sequence[Image.Image]
    instructions: Sequence[str]
    seeds: Sequence[int]


Side = Callable[[Work], list[Image.Image]]


def pictures(count: int) -> Work:
    """Sandbox pictures, each with the first of its edits."""
    bench = SandboxBenchmark("train", 5)
    samples = [bench.sample(i) for i in range(count)]
    return Work([s.image for s in samples], [explicit_instruction(s.gold[0]) for s in samples], range(count))


def sides(config: DiffusionEditor, engine: TorchEngine) -> tuple[Side, Side]:
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

    words = {word for text in pictures(8).instructions for word in text.split()}
    qwen = kind == "qwen"
    pipe = tiny_qwen_pipeline(load_vlm(assets / "decomposer")) if qwen else tiny_kontext_pipeline(sorted(words))
    pipe.save_pretrained(scratch / kind)
    return scratch / kind


def naive(
    config: DiffusionEditor, pipe: Any, image: Image.Image, instruction: str, seed: int, side: int = SIDE
) -> Image.Image:
    """One call of the pipeline, as its documentation shows it."""
    own: dict[str, Any] = {}
    if config.kind == "flux_kontext":
        own = {"max_area": side * side, "_auto_resize": False}
        own |= {"guidance_scale": config.guidance} if config.guidance is not None else {}
    return pipe(
        image=image,
        prompt=instruction,
        negative_prompt=config.negative_prompt if config.true_cfg > 1 else None,
        true_cfg_scale=config.true_cfg,
        num_inference_steps=config.steps,
        width=side,
        height=side,
        generator=torch.Generator().manual_seed(seed),
        max_sequence_length=config.max_sequence_length,
        **own,
    ).images[0]


@contextmanager
def working_size(side: int = SIDE) -> Iterator[None]:
    """The Qwen pipeline always works at one megapixel; here at the size of the pictures, so that both do the same work."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit as module

    own = module.calculate_dimensions
    with patch.object(module, "calculate_dimensions", lambda _, ratio: own(side * side, ratio)):
        yield
