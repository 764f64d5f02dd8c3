"""The silhouettes of the sandbox's shapes and the patterns of its materials, as exact masks at any resolution."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

# What a pixel of a sprite shows. FILL + level: the thing's colour, mixed as render.LEVELS says.
OUTSIDE, OUTLINE, FILL = 0, 1, 2
MAIN, CONTRAST, LIGHT, HIGHLIGHT, SHADE = range(5)  # levels of the fill

DIAMETER = {"small": 10, "medium": 13, "large": 16}  # pixels at side 64, outline included
COPY_DIAMETER = {"small": 7, "medium": 8, "large": 9}  # one of several copies in a cell
COPY_BOX = (16, 20)  # height and width that several copies fill, pixels at side 64

_STAR = tuple(
    ((1.08, 0.56)[i % 2] * np.sin(i * np.pi / 5), 0.08 - (1.08, 0.56)[i % 2] * np.cos(i * np.pi / 5)) for i in range(10)
)
_HOUSE = ((0, -1), (1, -0.05), (0.76, -0.05), (0.76, 0.95), (-0.76, 0.95), (-0.76, -0.05), (-1, -0.05))
_TREE = ((0, -1), (0.72, -0.12), (0.45, -0.12), (0.95, 0.6), (0.24, 0.6), (0.24, 1), (-0.24, 1), (-0.24, 0.6),
         (-0.95, 0.6), (-0.45, -0.12), (-0.72, -0.12))  # fmt: skip


def _polygon(u: np.ndarray, v: np.ndarray, points: tuple) -> np.ndarray:
    """Even-odd rule: is (u, v) inside the closed polygon?"""
    inside = np.zeros(u.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        if y0 != y1:
            crosses = (y0 > v) != (y1 > v)
            inside ^= crosses & (u < (x1 - x0) * (v - y0) / (y1 - y0) + x0)
    return inside


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Membership in the unit shape; u points right, v down, both in [-1, 1]."""
    r2 = u * u + v * v
    match shape:
        case "circle":
            return r2 <= 1
        case "square":
            return np.maximum(abs(u), abs(v)) <= 0.89
        case "triangle":
            return (v <= 0.9) & (abs(u) <= (v + 1.05) * 0.53)
        case "star":
            return _polygon(u, v, _STAR)
        case "heart":
            y = 0.18 - v * 1.12
            return u * u * 1.05 + (y - 0.72 * np.sqrt(abs(u))) ** 2 <= 0.92
        case "diamond":
            return abs(u) + abs(v) <= 1.01
        case "cross":
            return (np.minimum(abs(u), abs(v)) <= 0.4) & (np.maximum(abs(u), abs(v)) <= 0.95)
        case "ring":
            return (r2 <= 1) & (r2 >= 0.081)  # the hole is one pixel in the smallest copy
        case "moon":
            return (r2 <= 1) & ((u - 0.62) ** 2 + (v + 0.12) ** 2 >= 0.5)
        case "house":
            return _polygon(u, v, _HOUSE)
        case "tree":
            return _polygon(u, v, _TREE)
        case "fish":
            body = ((u + 0.25) / 0.78) ** 2 + (v / 0.66) ** 2 <= 1
            return body | ((u >= 0.3) & (u <= 0.98) & (abs(v) <= (u - 0.1) * 0.85))
        case _:
            raise KeyError(shape)


def _dots(x: np.ndarray, y: np.ndarray, middle: float, pitch: int) -> np.ndarray:
    """bool: inside a dot of a square lattice that has one dot at (middle, middle)."""
    dx, dy = ((c - middle + pitch / 2) % pitch - pitch / 2 for c in (x, y))
    return dx**2 + dy**2 <= 0.07 * pitch**2


def _levels(material: str, diameter: int, scale: float) -> np.ndarray:
    """int8[d, d]: the fill level of each pixel of a sprite; patterns keep their grain (in 1/64 of the side) at every size."""
    base = (np.arange(diameter) + 0.5) / scale
    x, y = base[None, :], base[:, None]
    levels = np.zeros((diameter, diameter), dtype=np.int8)
    match material:
        case "striped":
            levels[np.broadcast_to((np.floor(y / 2) % 2) == 1, levels.shape)] = CONTRAST
        case "dotted":
            pitch = 3 if round(diameter / scale) >= 10 else 2
            dots = _dots(x, y, round(diameter / scale) // 2 + 0.5, pitch)
            if pitch == 2:  # denser on small copies, so that even a thin ring shows some
                dots |= _dots(x, y, round(diameter / scale) // 2 - 0.5, pitch)
            levels[dots] = CONTRAST
        case "checkered":
            levels[(np.floor(x / 2) + np.floor(y / 2)) % 2 == 1] = CONTRAST
        case "metallic":
            t = (x + y) * scale / (2 * diameter)
            levels[t < 0.3] = LIGHT
            levels[(t >= 0.3) & (t < 0.44)] = HIGHLIGHT
            levels[t >= 0.66] = SHADE
    return levels


@cache
def _single(shape: str, material: str, diameter: int, scale: float) -> np.ndarray:
    """int8[d, d] classes of one copy: OUTSIDE, OUTLINE or FILL + level."""
    c = (np.arange(diameter) + 0.5) / diameter * 2 - 1
    mask = _inside(shape, *np.meshgrid(c, c))
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]  # pixels to the nearest outside pixel
    classes = np.where(mask, FILL + _levels(material, diameter, scale), OUTSIDE).astype(np.int8)
    classes[mask & (depth <= max(1, round(scale)))] = OUTLINE
    return classes


@cache
def sprite_classes(shape: str, material: str, size_name: str, count: int, side: int) -> tuple[int, int, np.ndarray]:
    """(top, left, int8[h, w] classes) of a thing; top and left are pixels from its cell's centre, the picture is `side` wide."""
    scale = side / 64
    if count == 1:
        d = max(3, round(DIAMETER[size_name] * scale))
        corner = -round(DIAMETER[size_name] // 2 * scale)
        return corner, corner, _single(shape, material, d, scale)
    d = max(3, round(COPY_DIAMETER[size_name] * scale))
    low, right = (b - COPY_DIAMETER[size_name] for b in COPY_BOX)  # the last top-left corner inside the box
    (mid_y, low), (mid_x, right) = ((round(c // 2 * scale), round(c * scale)) for c in (low, right))
    height, width = low + d, right + d
    corners = {
        2: ((mid_y, 0), (mid_y, right)),
        3: ((0, mid_x), (low, 0), (low, right)),
        4: ((0, 0), (0, right), (low, 0), (low, right)),
        5: ((0, 0), (0, right), (low, 0), (low, right), (mid_y, mid_x)),
    }[count]
    one, box = _single(shape, material, d, scale), np.zeros((height, width), dtype=np.int8)
    for y, x in corners:
        np.copyto(box[y : y + d, x : x + d], one, where=one != OUTSIDE)
    return -round(COPY_BOX[0] // 2 * scale), -round(COPY_BOX[1] // 2 * scale), box
