"""Comparing pictures pixel by pixel: distance, tolerance, smoothing, and bringing two pictures to one size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from common.pictures import to_rgb

NOTHING = 10.0  # a mean difference per channel up to this is compression or light noise, no other content
ONE_OFF = 0.1  # what a pixel loses that is one step away from where it belongs
EVERYTHING = 45.0  # from here on it is another colour: any two of the world's colours are at least so far apart


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32[...]: mean absolute difference over the channels of two uint8[..., 3], 0..255."""
    d = np.abs(a.astype(np.int16) - b.astype(np.int16))
    return (d[..., 0] + d[..., 1] + d[..., 2]) * np.float32(1 / 3)


def loss(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32[...] in 0..1: 0 for the same content, 1 for another, straight in between."""
    return np.clip((distance(a, b) - NOTHING) / (EVERYTHING - NOTHING), 0, 1)


def near_loss(after: np.ndarray, target: np.ndarray) -> np.ndarray:
    """As `loss`, but content found one pixel from its place costs only ONE_OFF."""
    best = loss(after, target)
    height, width = best.shape
    p = np.pad(target, ((1, 1), (1, 1), (0, 0)), mode="edge")
    for y, x in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)):
        shifted = ONE_OFF + (1 - ONE_OFF) * loss(after, p[y : y + height, x : x + width])
        np.minimum(best, shifted, out=best)
    return best


def progress(after: np.ndarray, base: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(credit, weight), float32[...] each. Credit of a pixel is 0 at least as far from the target as the base is (or at
    EVERYTHING), 1 within the tolerance; the tolerance shrinks with the difference asked for, so that a subtle edit is
    measured as strictly as a bold one. Weight is that difference, 0 where nothing was asked for."""
    weight = np.minimum(distance(base, target), EVERYTHING)
    relative = distance(after, target) / np.maximum(weight, 1e-6)
    return np.clip((1 - relative) / (1 - NOTHING / EVERYTHING), 0, 1), weight


def smooth(image: np.ndarray) -> np.ndarray:
    """uint8[H, W, 3]: the mean of each pixel's 3x3 neighbourhood, edges repeated."""
    p = np.pad(image.astype(np.uint16), ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = p[:-2] + p[1:-1] + p[2:]
    return ((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4) // 9).astype(np.uint8)


def grow(mask: np.ndarray) -> np.ndarray:
    """bool[H, W]: the mask and all its neighbours."""
    p = np.pad(mask, 1)
    rows = p[:-2] | p[1:-1] | p[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]


def rgb(image: Image.Image) -> Image.Image:
    """As `common.pictures.to_rgb`. Raises OSError or ValueError for a picture that cannot be decoded."""
    return to_rgb(image)


def square(image: Image.Image, side: int) -> np.ndarray:
    """uint8[side, side, 3]; averaged where it is made smaller."""
    image = rgb(image)
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BOX)
    return np.asarray(image)


__all__ = ["EVERYTHING", "NOTHING", "distance", "grow", "loss", "near_loss", "progress", "rgb", "smooth", "square"]
