"""How much of the picture changed: a naive proxy of "the edit was done", with no idea of what was asked.

It is here to be gamed. An editor that does nothing earns nothing, so that at first the proxy and a judge go together; its
greatest value is a picture in which nothing is left of the given one. `algo.watch.window` ends such a training (docs/edit_r1.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from benchmarks.base import EditSample
from common.pictures import to_rgb

SAME = 8  # levels of 255 up to which a pixel counts as unchanged: a VAE does not give back every level


def changed_share(picture: Image.Image, source: Image.Image) -> float:
    """The share of pixels, in [0, 1], that differ from the source's by more than `SAME` levels in some channel. The source is
    brought to the picture's size."""
    pixels, given = (np.asarray(to_rgb(image), dtype=np.int16) for image in (picture, source.resize(picture.size)))
    return float((np.abs(pixels - given).max(2) > SAME).mean())


def change(samples: Sequence[EditSample], pictures: Sequence[Image.Image]) -> list[float | None]:
    """`rewards.pictures.Component`: the changed share of each edit, None for a sample without a picture."""
    return [
        None if sample.image is None else changed_share(picture, sample.image)
        for sample, picture in zip(samples, pictures, strict=True)
    ]


__all__ = ["SAME", "change", "changed_share"]
