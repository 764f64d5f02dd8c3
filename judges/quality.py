"""Is the picture clean: free of blur, noise, specks? Measured on the picture itself, so that a wrong but clean picture
is a clean picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from benchmarks.sandbox.perceive import perceive_fully

# what clean renders of the world measure, and where a picture is spoilt
SHARP_CLEAN, SHARP_NONE = 0.93, 0.35
NOISE_CLEAN, NOISE_ALL = 2.0, 32.0  # standard deviation in 8-bit steps
SPECKS_CLEAN, SPECKS_ALL = 0.012, 0.06  # share of pixels unlike all their neighbours
EDGE = 40  # range of a 5x5 neighbourhood that holds an edge
EXACT = 0.6  # mean error of a re-rendering below which the picture is one of the world's own, whatever it shows


@dataclass(frozen=True)
class Quality:
    """Each 0..1, 1 clean."""

    sharpness: float
    noise: float
    specks: float

    @property
    def score(self) -> float:
        return 10 * self.sharpness * self.noise * self.specks


def quality(after: np.ndarray) -> Quality:
    """Of uint8[S, S, 3]."""
    gray = after.astype(np.float32) @ np.array([0.3, 0.6, 0.1], np.float32)
    measured = Quality(_sharpness(gray), _noise(gray), _specks(gray))
    if measured.score < 10 and perceive_fully(after).error < EXACT:  # patterns can look like faults
        return Quality(1.0, 1.0, 1.0)
    return measured


def _ramp(value: float, clean: float, spoilt: float) -> float:
    return float(min(1.0, max(0.0, (value - spoilt) / (clean - spoilt))))


def _sharpness(gray: np.ndarray) -> float:
    """How much of each edge is crossed in one step: 1 for drawn edges, less the wider they are. No edge counts as
    blurred away."""
    across, down = np.abs(np.diff(gray, axis=1)), np.abs(np.diff(gray, axis=0))
    step = np.zeros_like(gray)
    step[:, 1:] = across
    step[1:] = np.maximum(step[1:], down)
    highest, lowest = _pool(gray, np.maximum), _pool(gray, np.minimum)
    steepest = _pool(step, np.maximum)
    span = highest - lowest
    edges = span > EDGE
    if not edges.any():
        return 0.0
    return _ramp(float(np.minimum(steepest[edges] / span[edges], 1).mean(dtype=np.float64)), SHARP_CLEAN, SHARP_NONE)


def _pool(image: np.ndarray, extreme: np.ufunc) -> np.ndarray:
    """float32[H - 4, W - 4]: the maximum or minimum of every 5x5 neighbourhood."""
    for _ in range(2):  # once along the rows, once along the columns
        n = image.shape[0] - 4
        pair = extreme(image[:-1], image[1:])
        image = extreme(extreme(pair[:n], pair[2 : n + 2]), image[4:]).T
    return image


def _noise(gray: np.ndarray) -> float:
    """Standard deviation of the noise, from the median response of a mask blind to planes and edges (Immerkaer 1996);
    the median ignores the drawn structure, which fills less than half of any picture of the world."""
    down = gray[:-2] - 2 * gray[1:-1] + gray[2:]
    response = np.abs(down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:])
    return _ramp(float(np.median(response)) / (6 * 0.6745), NOISE_CLEAN, NOISE_ALL)


def _specks(gray: np.ndarray) -> float:
    """Share of pixels brighter, or darker, than all eight neighbours by a clear step."""
    centre = gray[1:-1, 1:-1]
    height, width = gray.shape
    others = [
        gray[dy : height - 2 + dy, dx : width - 2 + dx] for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)
    ]
    above = centre - reduce(np.maximum, others) > EDGE
    below = reduce(np.minimum, others) - centre > EDGE
    return _ramp(float((above | below).mean(dtype=np.float64)), SPECKS_CLEAN, SPECKS_ALL)


__all__ = ["Quality", "quality"]
