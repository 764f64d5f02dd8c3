"""What approximations of an editor save and what they change: memory of the weights, time, and the pictures against the exact
editor's own, with the same seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from common.errors import ImageEditError
from common.weights import stored_bytes
from experiments.benches.editors.sides import Work
from experiments.build.editors import DiffusionEditor, make_editor
from experiments.preflight.diffusion import missing_kernels

ARMS: dict[str, dict[str, Any]] = {
    "exact": {},
    "int8": {"quantization": "int8"},
    "fp8": {"quantization": "fp8"},
    "nf4": {"quantization": "nf4"},
    "first-block cache": {"cache": "first_block"},
}


def compare(
    config: DiffusionEditor, engine: Any, work: Work, threshold: float | None = None
) -> dict[str, dict[str, Any]]:
    """A row for each arm that this machine can do, `why` not for the others. `threshold`: of the first-block cache."""
    rows: dict[str, dict[str, Any]] = {}
    exact: list[Image.Image] = []
    for name, changes in ARMS.items():
        more: dict[str, Any] = {"cache_threshold": threshold} if "cache" in changes else {}
        part = replace(config, **changes, **more)
        if lacking := list(missing_kernels(part)):
            rows[name] = {"why": lacking[0]}
            continue
        try:
            rows[name], pictures = measured(part, engine, work)
        except ImageEditError as error:
            rows[name] = {"why": str(error)}
            continue
        exact = exact or pictures
        rows[name] |= change(exact, pictures)
    return rows


def measured(part: DiffusionEditor, engine: Any, work: Work) -> tuple[dict[str, Any], list[Image.Image]]:
    """Seconds of the second time, bytes of the weights, and how often blocks of the denoiser were computed."""
    editor: Any = make_editor(part, engine)
    editor.edit(work.images[:1], work.instructions[:1], work.seeds[:1])
    with block_calls(editor.model.blocks) as calls:
        start = time.perf_counter()
        pictures = editor.edit(work.images, work.instructions, work.seeds)
        seconds = time.perf_counter() - start
    modules = [m for m in editor.model.pipe.components.values() if hasattr(m, "parameters")]
    return {
        "weights_mb": round(sum(map(stored_bytes, modules)) / 1e6, 2),
        "denoiser_mb": round(stored_bytes(editor.model.transformer) / 1e6, 2),
        "seconds": round(seconds, 3),
        "block_calls": calls[0],
    }, pictures


@contextmanager
def block_calls(blocks: Sequence[Any]) -> Iterator[list[int]]:
    """Counts how often what is in the blocks is computed: a cache calls the blocks and skips their content."""
    count = [0]

    def counted(*_: Any) -> None:
        count[0] += 1

    handles = [next(block.children()).register_forward_hook(counted) for block in blocks]
    try:
        yield count
    finally:
        for handle in handles:
            handle.remove()


def change(exact: Sequence[Image.Image], pictures: Sequence[Image.Image]) -> dict[str, float | None]:
    """Mean absolute difference in levels of 255, and PSNR in dB over all pictures (None: nothing differs)."""
    gap = np.stack([np.asarray(a, float) - np.asarray(b, float) for a, b in zip(exact, pictures, strict=True)])
    squared = float((gap**2).mean())
    return {
        "mean_difference": round(float(np.abs(gap).mean()), 3),
        "psnr_db": round(20 * math.log10(255) - 10 * math.log10(squared), 1) if squared else None,
    }


__all__ = ["ARMS", "block_calls", "change", "compare", "measured"]
