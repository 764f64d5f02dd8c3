"""Tiles of a picture, each followed to where its content went in another picture, once a motion was taken back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from judges.metrics.motion import Motion
from judges.metrics.phase import shifts

DETAIL = 0.15  # tiles with less of the spectrum above the noise show nothing that could be followed
PEAK = 0.15  # tiles with a lower peak have nothing in common
LARGE, SMALL = 64, 32  # pixels, side of a tile
OUTSIDE = 0.15  # share of a tile that the other picture may not show


@dataclass(frozen=True)
class TileShifts:
    """Of the N tiles with detail: centres (x, y) relative to the picture's, displacements (u, v), pixels, and peaks."""

    x: np.ndarray
    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    peak: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """bool[N]: those that were found again."""
        return self.peak >= PEAK


class Unwarp:
    """One picture, resampled (cubic splines) as it would be if a motion had not happened."""

    def __init__(self, picture: np.ndarray) -> None:
        self.picture = picture
        self.centre = (np.array(picture.shape) - 1) / 2
        self.spline = ndimage.spline_filter(picture, order=3, mode="mirror")

    def __call__(self, m: Motion) -> np.ndarray:
        """float64[H, W]. No motion gives the picture itself, so that an unchanged one is found exactly where it was."""
        if m == Motion(0.0, 0.0):
            return self.picture
        matrix = np.array([[1 + m.a, m.b], [-m.b, 1 + m.a]])  # of (y, x)
        offset = self.centre + np.array([m.ty, m.tx]) - matrix @ self.centre
        return ndimage.affine_transform(self.spline, matrix, offset, order=3, mode="mirror", prefilter=False)

    def shows(self, m: Motion, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """bool[...]: whether points, relative to the centre, lie inside the picture after the motion."""
        u, v = m.at(x, y)
        return (np.abs(x + u) <= self.centre[1] + 0.5) & (np.abs(y + v) <= self.centre[0] + 0.5)


@dataclass(frozen=True)
class Tiles:
    """Square, overlapping by half; (x, y) are their centres relative to the picture's, pixels."""

    top: np.ndarray
    left: np.ndarray
    side: int
    x: np.ndarray
    y: np.ndarray

    @classmethod
    def over(cls, picture: np.ndarray) -> Tiles:
        """Of 64 pixels, or 32 in small pictures: a local edit spoils few of them, and a shift by a quarter still shows."""
        height, width = picture.shape
        side = LARGE if min(height, width) >= 3 * LARGE else SMALL
        rows, columns = (_starts(length, side) for length in (height, width))
        top, left = (grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij"))
        middle = (side - 1) / 2
        return cls(top, left, side, left + middle - (width - 1) / 2, top + middle - (height - 1) / 2)

    def follow(self, first: np.ndarray, second: Unwarp, motion: Motion) -> TileShifts:
        """Whole displacements of the tiles of `first`: by `motion`, and by what is left when that is taken back."""
        inside = self._inside(second, motion)
        if not inside.any():
            return TileShifts(*np.empty((5, 0)))
        rest = shifts(self._cut(first, inside), self._cut(second(motion), inside))
        x, y = self.x[inside], self.y[inside]
        u, v = motion.at(x + rest.dx, y + rest.dy)
        seen = TileShifts(x, y, u + rest.dx, v + rest.dy, rest.peak)
        return TileShifts(*(values[rest.detail >= DETAIL] for values in vars(seen).values()))

    def detailed(self, picture: np.ndarray) -> int:
        """How many tiles of a picture show something that could be followed."""
        cut = self._cut(picture, np.ones(len(self.x), dtype=bool))
        return int((shifts(cut, cut).detail >= DETAIL).sum())

    def _inside(self, second: Unwarp, motion: Motion) -> np.ndarray:
        """bool[tiles]: those whose content the second picture still shows, judged by the middles of 8 x 8 parts of each."""
        steps = ((np.arange(8) + 0.5) / 8 - 0.5) * self.side
        x = self.x[:, None, None] + steps[None, None, :]
        y = self.y[:, None, None] + steps[None, :, None]
        return second.shows(motion, *np.broadcast_arrays(x, y)).mean((1, 2)) >= 1 - OUTSIDE

    def _cut(self, picture: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        views = np.lib.stride_tricks.sliding_window_view(picture, (self.side, self.side))
        return views[self.top[chosen], self.left[chosen]]


def _starts(length: int, side: int) -> np.ndarray:
    """Where tiles begin: half a tile apart or less, the first at 0 and the last at the end."""
    count = 1 + math.ceil(2 * (length - side) / side)
    return np.rint(np.linspace(0, length - side, count)).astype(int)


__all__ = ["DETAIL", "LARGE", "PEAK", "SMALL", "TileShifts", "Tiles", "Unwarp"]
