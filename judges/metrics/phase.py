"""Phase correlation: by how much one grey patch is shifted against another, to a few hundredths of a pixel.

The normalised cross-power spectrum of two shifted patches is a plane wave (Kuglin & Hines 1975). It is weighted by a
Gaussian over frequency, so that its inverse transform is a Gaussian bump of known width, on whose logarithm a parabola
through the highest sample and its neighbours is exact, not an approximation. Frequencies in which a patch has no more
power than the noise of an 8-bit picture count for nothing: a flat patch has no peak rather than an accidental one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

NOISE = 1.5  # grey levels (of 255): standard deviation of what rounding and light compression do to a pixel
PASS = 0.15  # cycles per pixel: standard deviation of the weight over frequency; finer detail is what editors repaint


@dataclass(frozen=True)
class Shifts:
    """Of N pairs of patches. `peak` is 1 for a pure shift and about 0 for patches that have nothing in common; `detail` is
    the share of the weighted spectrum that stands out of the noise in both patches, 0 for flat ones."""

    dx: np.ndarray  # float64[N], pixels; positive: what the first patch shows lies further right in the second
    dy: np.ndarray  # float64[N], positive: further down
    peak: np.ndarray  # float64[N], -1..1
    detail: np.ndarray  # float64[N], 0..1


def hann(height: int, width: int) -> np.ndarray:
    """float64[H, W]: a Hann window in both directions, which takes away the jumps at a patch's borders."""
    return np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])


def shifts(first: np.ndarray, second: np.ndarray) -> Shifts:
    """Of every patch in `second` against the one in `first`; both float[N, H, W] in grey levels 0..255."""
    height, width = first.shape[1:]
    window = hann(height, width)
    weight = _weight(height, width)
    floor = NOISE**2 * (window**2).sum()  # expected power of the noise in every frequency
    a, b = _spectrum(first, window), _spectrum(second, window)
    own_a, own_b = np.abs(a) ** 2, np.abs(b) ** 2
    cross = b * np.conj(a)
    surface = fft.irfft2(weight * cross / (np.sqrt(own_a * own_b) + floor), s=(height, width)) * (height * width)
    detail = np.sqrt(_share(weight, own_a, floor, width) * _share(weight, own_b, floor, width))
    n = len(first)
    top = surface.reshape(n, -1).argmax(1)
    y, x = np.unravel_index(top, (height, width))
    height_of_peak = surface.reshape(n, -1)[np.arange(n), top]
    dx = _signed(x, width) + _between(surface, y, x, axis=2)
    dy = _signed(y, height) + _between(surface, y, x, axis=1)
    peak = np.divide(height_of_peak, detail, out=np.zeros(n), where=detail > 1e-6)
    return Shifts(dx, dy, np.clip(peak, -1, 1), detail)


def _spectrum(patches: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Of the windowed patches without their (windowed) mean, which would hold every shift at 0."""
    mean = (patches * window).sum((1, 2), keepdims=True) / window.sum()
    return fft.rfft2((patches - mean) * window)


def _weight(height: int, width: int) -> np.ndarray:
    """float64[H, W // 2 + 1] that sums to 1 over the whole spectrum, without its mean (frequency 0)."""
    radius2 = fft.fftfreq(height)[:, None] ** 2 + fft.rfftfreq(width)[None] ** 2
    weight = np.exp(-radius2 / (2 * PASS**2))
    weight[0, 0] = 0
    return weight / (weight * _copies(width)).sum()


def _copies(width: int) -> np.ndarray:
    """How often each column of a half spectrum stands in the whole one."""
    copies = np.full(width // 2 + 1, 2.0)
    copies[0] = 1
    if width % 2 == 0:
        copies[-1] = 1
    return copies


def _share(weight: np.ndarray, power: np.ndarray, floor: float, width: int) -> np.ndarray:
    return (weight * _copies(width) * power / (power + floor)).sum((1, 2))


def _signed(index: np.ndarray, length: int) -> np.ndarray:
    return np.where(index > length // 2, index - length, index).astype(np.float64)


def _between(surface: np.ndarray, y: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    """float64[N] in -0.5..0.5: where the parabola through the logarithms of the peak and its two neighbours is highest."""
    n, length = np.arange(len(surface)), surface.shape[axis]

    def at(step: int) -> np.ndarray:
        here = (n, (y + step) % length, x) if axis == 1 else (n, y, (x + step) % length)
        return np.log(np.maximum(surface[here], 1e-12))

    before, middle, after = at(-1), at(0), at(1)
    bend = before - 2 * middle + after
    offset = np.divide(before - after, 2 * bend, out=np.zeros(len(n)), where=np.abs(bend) > 1e-12)
    return np.clip(offset, -0.5, 0.5)


__all__ = ["NOISE", "PASS", "Shifts", "hann", "shifts"]
