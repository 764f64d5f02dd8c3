"""One motion for the whole picture out of the shifts of its tiles: shift, zoom and rotation, robust to what was edited.

A similarity about the picture's centre, u = tx + a x - b y, v = ty + b x + a y, is linear in (tx, ty, a, b). Every pair
of tiles determines one; the one that most tiles agree with is refined by least squares over these tiles (RANSAC, Fischler
& Bolles 1981, over all pairs instead of random ones, so that the same pictures give the same numbers).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

PAIRS = 4000  # of tiles at most; beyond it every k-th pair is tried


@dataclass(frozen=True)
class Motion:
    """(tx, ty) in pixels at the picture's centre; zoom is |(1 + a, b)|, above 1 where things became larger."""

    tx: float
    ty: float
    a: float = 0.0
    b: float = 0.0

    @property
    def scale(self) -> float:
        return math.hypot(1 + self.a, self.b)

    @property
    def degrees(self) -> float:
        """Clockwise, as y counts downwards."""
        return math.degrees(math.atan2(self.b, 1 + self.a))

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacement (u, v) of points given relative to the centre, pixels."""
        return self.tx + self.a * x - self.b * y, self.ty + self.b * x + self.a * y


def agreeing(m: Motion, x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray, within: float) -> np.ndarray:
    """bool[N]: tiles whose shift (u, v) differs from the motion's by at most `within` pixels."""
    p, q = m.at(x, y)
    return np.hypot(u - p, v - q) <= within


def fit(x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray, weight: np.ndarray, within: float) -> Motion:
    """The motion that the greatest weight of tiles agrees with. Arrays float64[N], N >= 2 different places."""
    best = _consensus(x, y, u, v, weight, within)
    for _ in range(3):
        chosen = agreeing(best, x, y, u, v, within)
        if np.unique(np.stack([x[chosen], y[chosen]]), axis=1).shape[1] < 2:
            return best
        best = _least_squares(x[chosen], y[chosen], u[chosen], v[chosen], weight[chosen])
    return best


def _consensus(x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray, weight: np.ndarray, within: float) -> Motion:
    """In complex numbers: z -> t + c z, so that two tiles give c = (w1 - w2) / (z1 - z2)."""
    z, w = x + 1j * y, u + 1j * v
    i, j = np.triu_indices(len(z), 1)
    step = -(-len(i) // PAIRS)
    i, j = i[::step], j[::step]
    apart = np.abs(z[i] - z[j]) > 0
    i, j = i[apart], j[apart]
    c = (w[i] - w[j]) / (z[i] - z[j])
    t = w[i] - c * z[i]
    # pure shifts are tried first: where they explain as much as a zoom does, there is no zoom
    c, t = np.concatenate([np.zeros(len(w)), c]), np.concatenate([w, t])
    votes = np.empty(len(c))
    for k in range(0, len(c), 512):  # bounded memory
        off = np.abs(w[None] - t[k : k + 512, None] - c[k : k + 512, None] * z[None])
        votes[k : k + 512] = ((off <= within) * weight).sum(1)
    k = int(votes.argmax())
    return Motion(float(t[k].real), float(t[k].imag), float(c[k].real), float(c[k].imag))


def _least_squares(x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray, weight: np.ndarray) -> Motion:
    one, none, root = np.ones_like(x), np.zeros_like(x), np.sqrt(np.concatenate([weight, weight]))
    left = np.concatenate([np.stack([one, none, x, -y], 1), np.stack([none, one, y, x], 1)])
    right = np.concatenate([u, v])
    solution = np.linalg.lstsq(left * root[:, None], right * root, rcond=None)[0]
    return Motion(*(float(value) for value in solution))


__all__ = ["Motion", "agreeing", "fit"]
