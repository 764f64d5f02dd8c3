"""An honest editor for the sandbox: it sees pixels, reads explicit instructions, and paints pixels.

It finds the objects by explaining the picture with the world's own drawing, repaints the background where something goes
away and draws what is new; every pixel that need not change stays as it is. What it cannot do is its real weakness: an
instruction that is vague, indirect or names something it does not see is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from benchmarks.base import Edit
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.perceive import perceive_fully
from benchmarks.sandbox.phrases import CELL_OF
from benchmarks.sandbox.render import grade, render, zoom_in
from benchmarks.sandbox.scene import CELL_NAMES, Scene
from common.errors import BadInput
from common.pictures import to_rgb
from editors.base import check_batch
from editors.instructions import MAX_CHARACTERS, parse_instruction

MAX_ERROR = (
    10.0  # mean cost per pixel above which a picture is no sandbox picture (a photo): only photo edits work on it
)
SIDES = (32, 2048)  # pictures with a shorter or longer side, or a ratio above MAX_RATIO, are photos too
MAX_RATIO = 2.0


class SandboxEditor:
    """`edit` as in `editors.base.Editor`; deterministic, so the seeds change nothing."""

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        check_batch(images, instructions, seeds)
        return [self.edit_one(image, text) for image, text in zip(images, instructions, strict=True)]

    def unread(self, instructions: Sequence[str]) -> list[str]:
        """As in `editors.base.LimitedEditor`."""
        long = [len(text) > MAX_CHARACTERS for text in instructions]
        return [
            f"the editor reads the first {MAX_CHARACTERS:,} of {len(text):,} characters" if cut else ""
            for text, cut in zip(instructions, long, strict=True)
        ]

    def edit_one(self, image: Image.Image, instruction: str) -> Image.Image:
        """The edited picture, RGB, of the same size."""
        pixels = np.asarray(to_rgb(image))
        edits = parse_instruction(instruction)
        if not edits:
            return Image.fromarray(pixels)
        scene = _see(pixels)
        if scene is None:
            return Image.fromarray(_edit_photo(pixels, edits))
        return Image.fromarray(_edit_pixels(pixels, scene, _answer(scene, edits)))


def _see(pixels: np.ndarray) -> Scene | None:
    """The scene in uint8[H, W, 3], or None where it shows none."""
    short, long = sorted(pixels.shape[:2])
    if short < SIDES[0] or long > SIDES[1] or long > MAX_RATIO * short:
        return None
    seen = perceive_fully(pixels)
    return seen.scene if seen.error <= MAX_ERROR else None


def _answer(scene: Scene, edits: Sequence[Edit]) -> Scene:
    """The scene after all edits that can be done; the others are left out."""
    try:
        return apply_edits(scene, edits)
    except BadInput:
        done: list[Edit] = []
        for edit in edits:
            try:
                apply_edits(scene, [*done, edit])
            except BadInput:  # names nothing in the picture, or has no place: this one is left out, the rest is done
                continue
            done.append(edit)
        return apply_edits(scene, done)


def _draw(scene: Scene, height: int, width: int) -> np.ndarray:
    """uint8[H, W, 3]: the scene at any size."""
    side = max(height, width)
    drawn = render(scene, side)
    if height == width:
        return drawn
    return np.asarray(Image.fromarray(drawn).resize((width, height), Image.Resampling.NEAREST))


def _edit_pixels(pixels: np.ndarray, before: Scene, after: Scene) -> np.ndarray:
    """Paint what differs between two scenes onto uint8[H, W, 3]; then the photo edits, pixel by pixel."""
    height, width = pixels.shape[:2]
    local = replace(after, light=before.light, tone=before.tone, zoom=before.zoom)
    out = pixels
    if local != before:
        new, old = _draw(local, height, width), _draw(before, height, width)
        out = np.where((new != old).any(-1, keepdims=True), new, pixels)
    if (after.light, after.tone) != (before.light, before.tone):
        if before.light or before.tone:  # an earlier grade is replaced, which only a fresh drawing can do
            out = _draw(replace(after, zoom=before.zoom), height, width)
        else:
            out = grade(out, after.light, after.tone)
    if after.zoom != before.zoom:
        out = zoom_in(out, after.zoom)
    return out


def _edit_photo(pixels: np.ndarray, edits: Sequence[Edit]) -> np.ndarray:
    """The photo edits among `edits`, on any uint8[H, W, 3]."""
    for edit in edits:
        goal = edit.goal or ""
        if edit.action == "relight":
            pixels = grade(pixels, light=goal)
        elif edit.action == "tone":
            pixels = grade(pixels, tone=goal)
        elif edit.action == "zoom" and goal in CELL_OF:
            pixels = zoom_in(pixels, CELL_NAMES[CELL_OF[goal]])
    return pixels


__all__ = ["SandboxEditor"]
