"""Real photographs (they ship with scikit-image) and pictures made from them by known motions."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from skimage import data

NAMES = ("astronaut", "coffee", "chelsea")


def photograph(name: str) -> Image.Image:
    return Image.fromarray(getattr(data, name)())


def shifted(picture: Image.Image, dx: float, dy: float) -> Image.Image:
    """By any fraction of a pixel, exactly: a phase ramp on the spectrum. What leaves on one side enters on the other."""
    a = np.asarray(picture, dtype=np.float64)
    ramp = np.fft.fftfreq(a.shape[0])[:, None, None] * dy + np.fft.fftfreq(a.shape[1])[None, :, None] * dx
    moved = np.fft.ifft2(np.fft.fft2(a, axes=(0, 1)) * np.exp(-2j * np.pi * ramp), axes=(0, 1)).real
    return Image.fromarray(np.clip(np.rint(moved), 0, 255).astype(np.uint8))


def moved(
    picture: Image.Image, scale: float = 1.0, degrees: float = 0.0, dx: float = 0.0, dy: float = 0.0, border: int = 20
) -> tuple[Image.Image, Image.Image]:
    """(before, after): zoomed and turned clockwise about the centre, then shifted; a border is cut off both, so that
    nothing shows that was not in the photograph."""
    w, h = picture.size
    cos, sin = (f(math.radians(degrees)) / scale for f in (math.cos, math.sin))
    # PIL asks where a pixel of the result comes from: back by the shift, then turned and scaled back about the centre
    x, y = w / 2 + dx, h / 2 + dy
    inverse = (cos, sin, w / 2 - cos * x - sin * y, -sin, cos, h / 2 + sin * x - cos * y)
    after = picture.transform(picture.size, Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC)
    inside = (border, border, w - border, h - border)
    return picture.crop(inside), after.crop(inside)


def pasted(picture: Image.Image, other: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """`other` in place of what was in the box (left, top, right, bottom)."""
    result = picture.copy()
    result.paste(other.resize((box[2] - box[0], box[3] - box[1])), box[:2])
    return result
