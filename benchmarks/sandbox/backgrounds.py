"""The sandbox's backgrounds: gradients and patterns, each told from all others at a glance, the same at every resolution."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_RNG_SEED = 20260308  # fixed for ever: the scattered stars, flakes and blades are part of the world


def _mix(top: tuple, bottom: tuple, t: np.ndarray) -> np.ndarray:
    return np.asarray(top, float) * (1 - t) + np.asarray(bottom, float) * t


def _scatter(n: int, salt: int) -> np.ndarray:
    """float[n, 2] fixed points (y, x) in [0, 64), spread evenly by a jittered lattice."""
    rng = np.random.default_rng(_RNG_SEED + salt)
    side = int(np.ceil(np.sqrt(n)))
    lattice = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    return ((lattice + rng.uniform(0.1, 0.9, lattice.shape)) * 64 / side)[:n]


def _near(y: np.ndarray, x: np.ndarray, points: np.ndarray, height: float, width: float) -> np.ndarray:
    """bool[H, W]: inside an ellipse with these half axes around any of the points."""
    hit = np.zeros(np.broadcast(y, x).shape, dtype=bool)
    for py, px in points:
        hit |= ((y - py) / height) ** 2 + ((x - px) / width) ** 2 <= 1
    return hit


def _draw(name: str, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """float[H, W, 3] for pixel centres y, x in [0, 64)."""
    t = (y / 64)[..., None] + 0 * x[..., None]
    match name:
        case "white":
            return _mix((252, 250, 246), (246, 243, 237), t)
        case "sky":
            image = _mix((105, 175, 245), (195, 226, 250), t)
            clouds = _near(y, x, np.array([(7, 13), (10, 20), (9, 6), (22, 50), (25, 57), (24, 43), (50, 20)]), 3.2, 7)
            image[clouds] = (236, 244, 252)
            return image
        case "grass":
            image = _mix((150, 205, 95), (105, 170, 65), t)
            image[_near(y, x, _scatter(80, 1), 1.6, 0.6)] = (85, 145, 50)
            return image
        case "sand":
            image = _mix((240, 218, 168), (222, 190, 130), t)
            image[np.abs((y + 2.2 * np.sin(x / 7)) % 12 - 6) < 0.6] = (206, 172, 112)
            return image
        case "night":
            image = _mix((38, 40, 92), (66, 62, 130), t)
            image[_near(y, x, _scatter(30, 2), 0.75, 0.75)] = (238, 232, 190)
            return image
        case "snow":
            image = _mix((196, 212, 232), (228, 238, 248), t)
            image[_near(y, x, _scatter(60, 3), 0.9, 0.9)] = (255, 255, 255)
            return image
        case "sea":
            image = _mix((70, 165, 205), (20, 95, 150), t)
            image[np.abs((y + 1.2 * np.sin(x * np.pi / 5.33)) % 9 - 4.5) < 0.55] = (150, 212, 230)
            return image
        case "sunset":
            upper = _mix((96, 62, 130), (238, 112, 96), t / 0.55)
            image = np.where(t < 0.55, upper, _mix((238, 112, 96), (252, 200, 110), (t - 0.55) / 0.45))
            image[np.abs(y - 40 - np.sin(x / 9)) < 0.5] = (250, 170, 120)
            return image
        case "brick":
            row = np.floor(y / 6)
            mortar = (y % 6 < 1) | ((x + 6 * (row % 2)) % 12 < 1)
            image = _mix((186, 98, 76), (170, 86, 66), t)
            image[mortar] = (112, 56, 46)
            return image
        case "forest":
            image = _mix((58, 98, 70), (40, 74, 48), t)
            trunk = (np.abs(x - 8) < 1.6) | (np.abs(x - 24) < 1.1) | (np.abs(x - 41) < 1.8) | (np.abs(x - 57) < 1.2)
            image[np.broadcast_to(trunk, t.shape[:2])] = (72, 60, 48)
            image[_near(y, x, _scatter(49, 4), 1.3, 1.3)] = (92, 138, 84)
            return image
        case _:
            raise KeyError(name)


@lru_cache(maxsize=64)
def background(name: str, side: int) -> np.ndarray:
    """uint8[side, side, 3], read-only and shared: copy before drawing on it."""
    c = (np.arange(side) + 0.5) * 64 / side
    image = np.clip(np.rint(_draw(name, c[:, None], c[None, :])), 0, 255).astype(np.uint8)
    image.setflags(write=False)
    return image
