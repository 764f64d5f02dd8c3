"""Transparency that an edit, which works on RGB over white, leaves aside: it is put back onto the result."""

from __future__ import annotations

import numpy as np
from PIL import Image

from common.pictures import Picture

PAINTED = 32  # grey levels (of 255) by which an edit must change a transparent pixel to have painted there


def put_back(edited: Image.Image, given: Picture) -> tuple[Image.Image, str]:
    """(RGBA, a sentence about it) of an edit of `given.rgb`, of the same size; the edited picture itself and "" where the given one
    was opaque.

    Over white the result looks as it was edited: colours are divided by their alpha again. Where the edit painted over pixels that
    were transparent, what it painted is opaque.
    """
    if given.alpha is None:
        return edited, ""
    shown = np.asarray(edited, dtype=np.float64)
    alpha = np.asarray(given.alpha, dtype=np.float64)
    painted = (np.abs(shown - np.asarray(given.rgb)).max(-1) > PAINTED) & (alpha < 255)
    alpha[painted] = 255
    share = alpha[..., None] / 255
    colours = np.where(share > 0, (shown - 255 * (1 - share)) / np.maximum(share, 1 / 255), 255)
    rgba = np.dstack([np.clip(np.rint(colours), 0, 255), alpha]).astype(np.uint8)
    note = "the picture was edited over white, and its transparency is put back"
    if painted.any():
        note += f"; {painted.mean():.0%} of its pixels were transparent and are painted over now"
    return Image.fromarray(rgba), note


__all__ = ["put_back"]
