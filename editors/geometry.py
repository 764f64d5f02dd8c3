"""Resizes pictures to a model's grid and exactly back, without cropping or drift."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from common.errors import BadInput

MAX_RATIO = 8.0  # of a grid's sides; longer pictures are padded on their short side
MAX_STRETCH = 0.008  # largest change of the aspect ratio that is preferred to padding
MAX_AREA = 1.15  # of the requested area
AREA_WEIGHT = 0.5  # of a grid's distance from that area, relative to padding, when a grid is chosen


@dataclass(frozen=True)
class Fit:
    """How a picture was fitted to a model's grid; `restore` undoes it."""

    original: tuple[int, int]  # width, height
    grid: tuple[int, int]  # what the model sees
    box: tuple[int, int, int, int]  # left, top, right, bottom of the picture inside the grid; the rest is padding


def grid_size(width: int, height: int, area: int, multiple: int) -> tuple[int, int]:
    """The (width, height) of the grid that `fit_to_grid` chooses for a picture."""
    return plan_fit(width, height, area, multiple).grid


@lru_cache(maxsize=4096)
def plan_fit(
    width: int, height: int, area: int, multiple: int, grids: tuple[tuple[int, int], ...] | None = None
) -> Fit:
    """Choose a grid of about `area` pixels, in multiples of `multiple`, for a picture of this size, and its place in the grid.

    Aspect ratios are kept: a picture is stretched to the whole grid only where that changes its ratio by less than MAX_STRETCH;
    otherwise the rest of the grid is padding. Among the grids the one with the least padding
    and the nearest area wins; a model that was trained on certain `grids` names them. The plan depends on the size alone, so
    that a picture that comes back in is treated alike. Raises BadInput for an area smaller than one grid step.
    """
    if multiple < 1 or area < multiple * multiple:
        raise BadInput(f"an area of {area} pixels has no room for a grid of {multiple}; use at least {multiple**2}")
    best: tuple[float, tuple[int, int], tuple[int, int]] | None = None
    for grid in grids or _grids(width, height, area, multiple):
        inner = _inner(width, height, grid)
        padding = 1 - inner[0] * inner[1] / (grid[0] * grid[1])
        cost = padding + (0 if grids else AREA_WEIGHT * abs(math.log(grid[0] * grid[1] / area)))
        if best is None or cost < best[0]:
            best = cost, grid, inner
    assert best is not None  # the grid of a single step always exists
    _, grid, inner = best
    left, top = (grid[0] - inner[0]) // 2, (grid[1] - inner[1]) // 2
    return Fit((width, height), grid, (left, top, left + inner[0], top + inner[1]))


def _grids(width: int, height: int, area: int, multiple: int) -> Iterator[tuple[int, int]]:
    """The grids that may suit a picture: for every number of rows the columns just below and above its ratio, within MAX_RATIO."""
    if width < height:  # the same as for the picture on its side
        yield from ((columns, rows) for rows, columns in _grids(height, width, area, multiple))
        return
    ratio = width / height
    cells, ratio = area / multiple**2, min(ratio, MAX_RATIO)
    fitted = math.sqrt(cells / ratio)
    for rows in range(max(1, int(fitted * 0.8)), math.ceil(fitted * 1.2) + 1):
        most = min(cells * MAX_AREA / rows, MAX_RATIO * rows)
        for columns in {math.floor(rows * ratio), math.ceil(rows * ratio), math.floor(most)}:
            if 1 <= columns <= most:
                yield columns * multiple, rows * multiple


def _inner(width: int, height: int, grid: tuple[int, int]) -> tuple[int, int]:
    """The size of a picture inside a grid: the whole grid where the ratios nearly agree, else the largest that keeps its ratio.

    Sizes are whole pixels, so a long picture at a small area may lose a few pixels of length to keep its ratio.
    """
    if _stretch((width, height), grid) < MAX_STRETCH:
        return grid
    wide = width >= height
    longest, shortest = (grid[0], grid[1]) if wide else (grid[1], grid[0])
    ratio = max(width, height) / min(width, height)
    top = min(longest, math.floor(shortest * ratio))
    candidates = []
    for long in range(top, max(1, int(0.85 * top)) - 1, -1):
        short = min(shortest, max(1, round(long / ratio)))
        inner = (long, short) if wide else (short, long)
        candidates.append((_stretch((width, height), inner), inner))
        if candidates[-1][0] < MAX_STRETCH:
            return inner
    return min(candidates)[1]


def _stretch(one: tuple[int, int], other: tuple[int, int]) -> float:
    """By how much two sizes differ in aspect ratio: 0.01 is one per cent."""
    return abs(math.log(one[0] * other[1] / (one[1] * other[0])))


def fit_to_grid(
    image: Image.Image, area: int, multiple: int, grids: tuple[tuple[int, int], ...] | None = None
) -> tuple[Image.Image, Fit]:
    """Fit the whole picture to a grid (see `plan_fit`), and say how to undo it. Nothing is cropped, the ratio changes by less than
    one per cent, and padding repeats the edge."""
    fit = plan_fit(*image.size, area, multiple, grids)
    left, top, right, below = fit.box
    inner = (right - left, below - top)
    if inner != image.size:
        image = image.resize(inner, Image.Resampling.LANCZOS)
    if inner != fit.grid:
        pad = ((top, fit.grid[1] - below), (left, fit.grid[0] - right), (0, 0))
        image = Image.fromarray(np.pad(np.asarray(image), pad, mode="edge"))
    return image, fit


def restore(image: Image.Image, fit: Fit) -> Image.Image:
    """Bring a model's result back to the original size. Raises BadInput where the result is not of the grid's size."""
    if image.size != fit.grid:
        raise BadInput(
            f"the model was given {fit.grid} (width, height) and returned {image.size}; it must keep the size"
        )
    image = image.crop(fit.box)
    return image if image.size == fit.original else image.resize(fit.original, Image.Resampling.LANCZOS)


__all__ = ["Fit", "fit_to_grid", "grid_size", "plan_fit", "restore"]
