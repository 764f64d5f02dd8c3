"""What a call did not change is kept exactly, and what it changed is taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from agents.anchoring import AnchoredEditor, edited_region, reanchored
from benchmarks.sandbox.generate import SandboxSample, make_session
from common.errors import BadInput


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=np.int16)


def blurry(image: Image.Image, seed: int) -> Image.Image:
    """As an autoencoder gives a picture back: every pixel a little off."""
    noise = np.random.default_rng(seed).normal(0, 4, (64, 64, 3))
    return Image.fromarray(np.clip(pixels(image) + noise, 0, 255).astype(np.uint8))


class Shaky:
    """Paints a black square where the instruction says, and is a little off everywhere else."""

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        made = []
        for image, instruction, seed in zip(images, instructions, seeds, strict=True):
            result, at = blurry(image, seed), int(instruction)
            result.paste((0, 0, 0), (at, at, at + 6, at + 6))
            made.append(result)
        return made


PICTURE = Image.fromarray(np.random.default_rng(1).integers(60, 200, (64, 64, 3)).astype(np.uint8))


def turns() -> list[SandboxSample]:
    found = [turn for i in range(25) for turn in make_session("test", 1, i, 3).turns]
    return [turn for turn in found if isinstance(turn, SandboxSample)]


def test_exact_edits_are_taken_whole() -> None:
    whole, count = 0, 0
    for turn in turns():
        left = np.abs(pixels(reanchored(turn.image, turn.target)) - pixels(turn.target)).mean(-1)
        changed = np.abs(pixels(turn.target) - pixels(turn.image)).mean(-1) > 45
        assert not left[changed].any() or left[changed].mean() < 5, (turn.id, turn.gold)
        whole, count = whole + (not left.any()), count + 1
    assert whole >= 0.9 * count


def test_noise_around_an_edit_is_not_taken() -> None:
    for k, turn in enumerate(turns()[:20]):
        result = pixels(reanchored(turn.image, blurry(turn.target, k)))
        region = edited_region(np.asarray(turn.image), np.asarray(blurry(turn.target, k)))
        assert (result[~region] == pixels(turn.image)[~region]).all() and region.mean() < 0.6
        assert reanchored(turn.image, blurry(turn.image, k)).tobytes() == turn.image.tobytes()


def test_pixels_that_no_turn_changes_stay_the_sources_own() -> None:
    plain, anchored, editor = PICTURE, PICTURE, AnchoredEditor(Shaky())
    for k in range(20):
        at = str(4 + k % 3 * 8)
        (plain,), (anchored,) = Shaky().edit([plain], [at], [k]), editor.edit([anchored], [at], [k])
    untouched = np.ones((64, 64), dtype=bool)
    untouched[:32, :32] = False
    assert (pixels(anchored) == pixels(PICTURE))[untouched].all()
    assert np.abs(pixels(plain) - pixels(PICTURE))[untouched].mean() > 5
    assert (pixels(anchored)[20:26, 20:26] < 30).all()


def test_a_margin_of_nothing_takes_what_differs_and_a_threshold_of_nothing_takes_all() -> None:
    other = PICTURE.copy()
    other.paste((0, 0, 0), (20, 20, 30, 30))
    region = edited_region(np.asarray(PICTURE), np.asarray(other), margin=0)
    assert region[20:30, 20:30].all() and region.sum() <= 12 * 12
    wide = edited_region(np.asarray(PICTURE), np.asarray(other), margin=1 / 32)
    assert (wide >= region).all() and wide.sum() > region.sum()
    assert reanchored(PICTURE, blurry(PICTURE, 0), threshold=0).tobytes() == blurry(PICTURE, 0).tobytes()
    assert reanchored(PICTURE, other).tobytes() == other.tobytes()


def test_what_cannot_be_anchored_is_named() -> None:
    with pytest.raises(BadInput, match="size"):
        reanchored(PICTURE, PICTURE.resize((32, 32)))
    with pytest.raises(BadInput, match="threshold=-1"):
        reanchored(PICTURE, PICTURE, threshold=-1)
    assert AnchoredEditor(Shaky()).unread(["4", "8"]) == ["", ""]
