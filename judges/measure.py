"""Pixel measures the sandbox's judge is built from. Pictures are uint8[H, W, 3], masks bool[H, W], results in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

TAU = 100.0  # Euclidean RGB distance at which two pixels have nothing in common; the world's colours are 80 and more apart
NEXT_DOOR = 0.85  # what a pixel is worth one step away from where it belongs
BLOCKS = 8  # detail is compared in BLOCKS x BLOCKS parts of the picture
DETAIL_FLOOR = 3.0  # grey levels of detail that nobody sees


def match(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32[H, W]: per pixel 1 where equal, falling linearly to 0 at a distance of TAU."""
    d = a.astype(np.float32) - b.astype(np.float32)
    return np.maximum(0, 1 - np.sqrt((d * d).sum(-1)) / TAU)


def near_match(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """As `match`, but a pixel of `a` that is only found next to its place in `b` still counts NEXT_DOOR, so that a shift by
    one pixel costs a little and a larger one a lot."""
    best = match(a, b)
    if best.min() >= NEXT_DOOR:
        return best
    padded = np.pad(b, ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = best.shape
    for y, x in ((0, 1), (2, 1), (1, 0), (1, 2)):
        np.maximum(best, NEXT_DOOR * match(a, padded[y : y + height, x : x + width]), out=best)
    return best


def differs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """bool[H, W]: where two pictures are not the same."""
    return (a != b).any(-1)


def progress(
    after: np.ndarray, target: np.ndarray, starts: Iterable[np.ndarray], where: np.ndarray, idle: float | None = None
) -> float:
    """How far `after` has come from the nearest of `starts` to `target` inside a mask: 0 not at all, 1 arrived.

    Where a start is there already nothing can be told: `idle` then, or the likeness itself if that is None.
    """
    rows, cols = np.nonzero(where)
    goal = target[rows, cols]
    came = float(match(after[rows, cols], goal).mean())
    start = max(float(match(s[rows, cols], goal).mean()) for s in starts)
    if start >= 1:
        return came if idle is None else idle
    return min(1.0, max(0.0, (came - start) / (1 - start)))


def detail(image: np.ndarray) -> np.ndarray:
    """float32[BLOCKS * BLOCKS], ascending: mean absolute Laplacian of each part of the picture, in grey levels.

    Sorted, so that it says how much fine structure there is and not where: moved things do not change it, blur lowers
    it, noise and artefacts raise it. Large pictures are first averaged down to about 128 pixels a side, so that the
    same blur relative to the picture counts the same.
    """
    x = image.astype(np.float32)
    k = max(1, min(x.shape[:2]) // 128)
    height, width = x.shape[0] // k * k, x.shape[1] // k * k
    x = x[:height, :width].reshape(height // k, k, width // k, k, 3).mean((1, 3))
    x = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    inner = x[1:-1, 1:-1]
    curve = np.abs(4 * inner - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]).mean(-1)
    rows, cols = (np.arange(BLOCKS) * n // BLOCKS for n in curve.shape)
    sums = np.add.reduceat(np.add.reduceat(curve, rows, axis=0), cols, axis=1)
    sizes = np.outer(np.diff(rows, append=curve.shape[0]), np.diff(cols, append=curve.shape[1]))
    return np.sort((sums / sizes).ravel()).astype(np.float32)


def same_detail(after: np.ndarray, references: Sequence[np.ndarray]) -> float:
    """How alike the fine structure of a picture is to that of the reference most like it (1: the same)."""
    mine, best = detail(after), 0.0
    for reference in references:
        theirs = detail(reference)
        less, more = np.minimum(mine, theirs) + DETAIL_FLOOR, np.maximum(mine, theirs) + DETAIL_FLOOR
        best = max(best, float(less.sum() / more.sum()))
    return best


__all__ = ["TAU", "detail", "differs", "match", "near_match", "progress", "same_detail"]
