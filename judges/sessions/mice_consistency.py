"""CC of MICE-Bench: how much of what no turn was to change looks as in the session's first picture (Edit-R2, arXiv 2606.05950).

A turn's result is brought to the first picture's size (Lanczos) and compared with it by DINOv3 features:

    objects      the mean over the boxes of the unchanged objects in the first picture (threshold .35; the same box is cut out of
                 both pictures) of .5 cos(CLS) + .5 cos(mean of the patches)
    background   what lies outside the boxes of all objects in either picture: the cosine of the weighted means of the patches,
                 each of length 1, over patches at least half of which is background
    CC           the mean of the two; the objects alone where some turn was to change the background

Without a listed unchanged object, or any listed object at all, nothing is looked at and CC is .5, as published; so it is where
neither number can be had. Such turns say so in their verdict's reason. CC below 0 counts as 0 (published: as it is).

**As published** (`cc=as_published`; yuxiaooye/Edit-R2@1c549f1) the features of ViT-L/16 with four registers are laid out wrongly:
all tokens but the first are taken for patches, so that at 256 x 256 pixels 4 registers and 256 patches make 260 tokens on a grid
of 13 x 20, to which the mask of the background is reduced. Part of what counts as background is then not background, and the
registers count into the mean of an object's patches. Pictures are cropped to a square there (as the checkpoint's own processor
does by its published settings; which version of it the authors ran is not known), while the mask is only resized. A background
without any such patch is 0 there and no number here. `correct` uses the patches alone on their own grid of the whole picture.
What `as_published` does not repeat: the JPEG files in between, and .5 for a call that failed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from judges.sessions.detector import Box, Look
from judges.sessions.features import PatchFeatures, Tokens
from judges.sessions.mice_turn import Score, Turn

CORRECT, AS_PUBLISHED = "correct", "as_published"
THRESHOLD = 0.35  # of the detector
MOSTLY = 0.5  # share of a patch from which on it counts as background
UNKNOWN = 0.5  # where nothing can be compared


def nothing_to_compare(turn: Turn) -> str:
    """Why CC is .5 without looking at the pictures; "" where it is not."""
    for key, names in (("unchanged_objects", turn.unchanged), ("all_objects", turn.objects)):
        if not names:
            return f"{key} is empty, so that CC is {UNKNOWN} by rule"
    return ""


def looks_of(turn: Turn) -> dict[str, Look]:
    """Where the objects are: all names of a list are looked for together."""
    return {
        "unchanged": Look(turn.first, turn.unchanged, THRESHOLD, THRESHOLD),
        "before": Look(turn.first, turn.objects, THRESHOLD, THRESHOLD),
        "after": Look(turn.fitted, turn.objects, THRESHOLD, THRESHOLD),
    }


class Consistency:
    """CC by the features of a model; `as_published` repeats the published layout of the tokens."""

    def __init__(self, features: PatchFeatures, as_published: bool = False) -> None:
        self.features, self.as_published = features, as_published

    def score(self, turn: Turn, unchanged: Sequence[Box], objects: Sequence[Box]) -> Score:
        """`unchanged`: boxes in the first picture; `objects`: of all objects in both pictures."""
        first, after = turn.first, turn.fitted
        crops = [corners for box in unchanged if (corners := whole_pixels(box, first.size)) is not None]
        pictures = [*(p.crop(c) for c in crops for p in (first, after)), first, after]
        tokens = self.features.tokens(pictures, crop=self.as_published)
        pairs = range(0, 2 * len(crops), 2)
        alike = [object_similarity(tokens, i, self.as_published) for i in pairs]
        same_objects = sum(alike) / len(alike) if alike else None
        same_background = None
        if turn.keeps_background and objects:
            same_background = self._background(tokens, background_mask(first.size, objects))
        return combine(same_objects, same_background, turn.keeps_background)

    def _background(self, tokens: Tokens, mask: Image.Image) -> float | None:
        """Of the last two pictures of the tokens. None where nothing is background."""
        if mask.getextrema() == (0, 0):
            return None
        patches, grid = tokens.patches[-2:], tokens.grid
        if self.as_published:
            patches = torch.cat([tokens.registers[-2:], patches], dim=1)
            grid = nearest_grid(patches.shape[1])
        weights = patch_weights(mask, self.features.side, grid)
        if not weights.any() and not self.as_published:
            return None
        return masked_similarity(patches[0], patches[1], weights)


def object_similarity(tokens: Tokens, i: int, registers: bool = False) -> float:
    """Of the pictures i and i + 1: half the cosine of their CLS tokens, half that of the means of their patches, with `registers`
    those among them."""
    rest = torch.cat([tokens.registers, tokens.patches], dim=1) if registers else tokens.patches
    means = rest[i : i + 2].mean(dim=1)
    cls = functional.cosine_similarity(tokens.cls[i], tokens.cls[i + 1], dim=0)
    texture = functional.cosine_similarity(means[0], means[1], dim=0)
    return float(0.5 * cls + 0.5 * texture)


def masked_similarity(before: Tensor, after: Tensor, weights: Tensor) -> float:
    """The cosine of the weighted means of unit tokens: `before` and `after` [N, C], `weights` [N]. 0 where all weights are 0."""
    total = weights.sum() + 1e-6
    means = [(functional.normalize(t, dim=-1) * weights[:, None]).sum(dim=0) / total for t in (before, after)]
    return float(functional.cosine_similarity(means[0], means[1], dim=0))


def background_mask(size: tuple[int, int], boxes: Sequence[Box]) -> Image.Image:
    """Mode L, 255 where no box lies; a box's last row and column belong to it."""
    mask = Image.new("L", size, 255)
    draw = ImageDraw.Draw(mask)
    for box in boxes:
        draw.rectangle(_clipped(box, size), fill=0)
    return mask


def patch_weights(mask: Image.Image, side: int, grid: tuple[int, int]) -> Tensor:
    """The share of background of each patch, row by row, float[rows * columns]; 0 where it is less than half. The mask is brought
    to the model's square first; patches that are no whole number of its pixels share the pixels between them."""
    square = mask.resize((side, side), Image.Resampling.NEAREST)
    pixels = torch.tensor(list(square.tobytes()), dtype=torch.float32).reshape(1, side, side) / 255
    weights = functional.adaptive_avg_pool2d(pixels, grid).flatten()
    return weights * (weights >= MOSTLY)


def nearest_grid(tokens: int) -> tuple[int, int]:
    """The rows and columns that hold so many tokens and are nearest to a square by the quotient of the two; of two that are
    equally near, the one that comes first: 260 give (13, 20)."""
    sides = [(tokens // w, w) for w in range(1, math.isqrt(tokens) + 1) if tokens % w == 0]
    grids = [grid for h, w in sides for grid in ((h, w), (w, h))]
    return min(grids, key=lambda grid: abs(grid[0] / grid[1] - 1))


def combine(objects: float | None, background: float | None, keeps_background: bool) -> Score:
    """CC from its two parts, those that there are."""
    used = [objects, background] if keeps_background else [objects]
    values = [value for value in used if value is not None]
    raw = {"objects": objects, "background": background}
    if not values:
        return Score(UNKNOWN, f"no object is found to compare, so that CC is {UNKNOWN} by rule", raw)
    return Score(min(1.0, max(0.0, sum(values) / len(values))), "", raw)


def whole_pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The box's corners as a crop within the picture, None where nothing is left of it."""
    left, top, right, bottom = _clipped(box, size)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _clipped(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    width, height = size
    x = sorted(max(0, min(int(value), width)) for value in (box.left, box.right))
    y = sorted(max(0, min(int(value), height)) for value in (box.top, box.bottom))
    return x[0], y[0], x[1], y[1]


__all__ = ["AS_PUBLISHED", "CORRECT", "Consistency", "background_mask", "combine", "looks_of", "masked_similarity"]
__all__ += ["nearest_grid", "nothing_to_compare", "object_similarity", "patch_weights", "whole_pixels"]
