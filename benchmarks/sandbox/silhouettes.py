"""Every silhouette a thing can have inside its cell, as one matrix: what `perceive` matches pixels against.

A silhouette is (shape, size, count, nudge); colour, material and label only change what its fill shows.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np

from benchmarks.sandbox.render import cell_centre
from benchmarks.sandbox.scene import CELLS, MATERIALS, MAX_COUNT, SHAPES, SIZES
from benchmarks.sandbox.shapes import FILL, OUTLINE, sprite_classes

SIDE = 64
WINDOW = (18, 22)  # height, width of the window around a cell's centre that holds every silhouette of the cell
PIXELS = WINDOW[0] * WINDOW[1]
NUDGES = tuple(product((0, -1, 1), (0, -1, 1)))  # the likely one first: ties go to it
SILHOUETTES = tuple(product(SHAPES, SIZES, range(1, MAX_COUNT + 1), NUDGES))
LEVELS = 5


def window_of(cell: tuple[int, int]) -> tuple[slice, slice]:
    """The pixels (rows, columns) of a cell's window at side 64."""
    y, x = cell_centre(cell, SIDE)
    return slice(y - 9, y + 9), slice(x - 11, x + 11)


# flat pixel indices of all nine windows: int[9, 396]
WINDOW_INDEX = np.stack([np.arange(SIDE * SIDE).reshape(SIDE, SIDE)[window_of(c)].ravel() for c in CELLS])


# Pictures of k * 64 pixels a side are read through their sample pixels [k // 2 :: k], and so are the templates: at every
# multiple of 64 what is compared is exactly what the renderer drew.
def sample(image: np.ndarray, k: int) -> np.ndarray:
    """[64, 64, ...] from [64 k, 64 k, ...]: the pixel next to the middle of every block."""
    return image[k // 2 :: k, k // 2 :: k]


@cache
def classes(silhouette: int, material: str, k: int = 1) -> np.ndarray:
    """int8[396]: the class of every sample pixel of the window for a silhouette (index into SILHOUETTES) of a material."""
    shape, size, count, (dy, dx) = SILHOUETTES[silhouette]
    top, left, sprite = sprite_classes(shape, material, size, count, SIDE * k)
    window = np.zeros((WINDOW[0] * k, WINDOW[1] * k), dtype=np.int8)
    y, x = (9 + dy) * k + top, (11 + dx) * k + left
    window[y : y + sprite.shape[0], x : x + sprite.shape[1]] = sprite
    return sample(window, k).ravel().copy()


@cache
def class_matrix(k: int = 1) -> np.ndarray:
    """float32[2*396, silhouettes]: which pixels are outline, which are fill; so that (costs of being outline and of being
    fill, each less the cost of being background) @ matrix = what every silhouette saves or costs."""
    matrix = np.empty((2, PIXELS, len(SILHOUETTES)), dtype=np.float32)
    for i in range(len(SILHOUETTES)):
        plain = classes(i, "plain", k)
        matrix[0, :, i] = plain == OUTLINE
        matrix[1, :, i] = plain >= FILL
    return matrix.reshape(2 * PIXELS, -1)


@cache
def fill_index(silhouette: int, k: int = 1) -> np.ndarray:
    """int[materials, n]: for each of the n fill pixels, pixel * LEVELS + level under each material."""
    rows = []
    for material in MATERIALS:
        window = classes(silhouette, material, k)
        pixels = np.nonzero(window >= FILL)[0]
        rows.append(pixels * LEVELS + window[pixels] - FILL)
    return np.stack(rows)
