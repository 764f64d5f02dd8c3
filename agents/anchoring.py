"""Re-anchoring: what a call of the editor did not change is taken from the picture before it again, pixel by pixel.

An editor passes every pixel through its autoencoder, and the small errors of that add up from turn to turn. Here the edited region
is found in the two pictures themselves: where they differ by more than an autoencoder's error, and a margin around that. Everything
else is kept exactly; so a pixel that no turn of a session changes is the source's own pixel after any number of turns.

The price: a change that is smaller than the threshold is undone, and a new background or another light takes the whole picture
anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from common.errors import BadInput
from common.pictures import to_rgb
from editors.base import Editor, LimitedEditor

THRESHOLD = 20.0  # of 255: twice what the tiny editors change in nine of ten pixels of a 64-pixel picture
MARGIN = 1 / 32  # of the shorter side: how far the edited region reaches beyond the pixels that differ
WINDOW = 3  # pixels of the smoothing


def reanchored(
    before: Image.Image, after: Image.Image, *, threshold: float = THRESHOLD, margin: float = MARGIN
) -> Image.Image:
    """The picture after an edit, with the pixels of the picture before it outside the edited region. RGB.

    Raises BadInput for pictures of different sizes, and for numbers below 0.
    """
    if before.size != after.size:
        raise BadInput(
            f"a picture of {after.size} cannot be anchored in one of {before.size}; bring it to that size first"
        )
    given, made = np.asarray(to_rgb(before)), np.asarray(to_rgb(after))
    region = edited_region(given, made, threshold=threshold, margin=margin)
    return Image.fromarray(np.where(region[..., None], made, given))


def edited_region(
    before: np.ndarray, after: np.ndarray, *, threshold: float = THRESHOLD, margin: float = MARGIN
) -> np.ndarray:
    """bool[H, W]: where two uint8[H, W, 3] show different things. `threshold` in steps of 255, of the mean difference of the
    channels over WINDOW x WINDOW pixels; a lone pixel counts from twice as much on. `margin` in shares of the shorter side. Raises
    BadInput for numbers below 0."""
    if threshold < 0 or margin < 0:
        raise BadInput(f"threshold={threshold} and margin={margin} must be 0 or more")
    difference = np.abs(before.astype(np.float32) - after.astype(np.float32)).mean(-1)
    found = (ndimage.uniform_filter(difference, WINDOW, mode="nearest") > threshold) | (difference > 2 * threshold)
    reach = round(margin * min(found.shape))
    if not reach or not found.any():
        return found
    return np.asarray(ndimage.distance_transform_edt(~found) <= reach)


@dataclass(frozen=True)
class AnchoredEditor:
    """An `editors.base.Editor` whose every result is re-anchored in the picture that it was given."""

    editor: Editor
    threshold: float = THRESHOLD
    margin: float = MARGIN

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        """As the editor's own; raises what it raises."""
        made = self.editor.edit(images, instructions, seeds)
        return [
            reanchored(before, after, threshold=self.threshold, margin=self.margin)
            for before, after in zip(images, made, strict=True)
        ]

    def unread(self, instructions: Sequence[str]) -> list[str]:
        """As the editor's own; an editor that reads everything leaves nothing unread."""
        return self.editor.unread(instructions) if isinstance(self.editor, LimitedEditor) else [""] * len(instructions)


__all__ = ["MARGIN", "THRESHOLD", "AnchoredEditor", "edited_region", "reanchored"]
