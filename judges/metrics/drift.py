"""Did the whole picture move? Shift, zoom and rotation of the edited picture against its source, whatever was edited in it.

Editors that resize to a grid of their own, pad or crop return pictures that are off by a pixel or by a per cent; pixel
metrics then punish every pixel, and over several turns it adds up. Measured here by phase correlation:

1. both pictures in grey, the edited one resized to the source's size (bicubic), both to at most WORK pixels a side;
2. a coarse shift by phase correlation of the whole pictures (Hann window);
3. the same on overlapping tiles, after the motion found so far was taken back (tiles.py);
4. one similarity through the tiles' shifts that most of them agree with (motion.py); 3 and 4 until it settles.

Step 4 takes the place of a log-polar correlation of the spectra: a spectrum mixes the edited part into everything, while
here a local edit spoils its own tiles and no other. The price: pictures without detail in several places have no zoom.

Keys: `drift_dx`, `drift_dy` in pixels of the source, of the content at the picture's centre, positive to the right and down;
`drift_px` their length; `drift_scale` 1 for none, 1.02 where everything became 2 % larger (after step 1: what a change of
the picture's size alone does is no drift); `drift_degrees` clockwise; `drift_confidence` the median sharpness of the tiles'
correlation peaks, 1 for a picture that only moved, lower the more was repainted everywhere; `drift_agreement` the share of
the source's tiles with detail that moved with the whole and are still in sight.

An unchanged picture gives no motion up to rounding errors; on photographs with known motions shift was right to 0.05 pixels
of the working size (0.1 with a zoom) and scale to 0.05 % (tests/judges/metrics/test_drift.py). A thing that moved on a ground
without detail cannot be told from a picture that moved. On the first 60 edited sandbox scenes of the test split (plain
grounds, few things) no shift over 0.1 pixels was reported at 192 pixels a side; at 64 there were seven, one of them of 9
pixels where nothing but things had changed. Take small pictures of that kind with care.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from common.pictures import to_rgb
from judges.metrics.base import Case, Reading
from judges.metrics.motion import Motion, agreeing, fit
from judges.metrics.phase import shifts
from judges.metrics.tiles import PEAK, SMALL, Tiles, TileShifts, Unwarp

KEYS = (
    "drift_dx",
    "drift_dy",
    "drift_px",
    "drift_scale",
    "drift_degrees",
    "drift_confidence",
    "drift_agreement",
)
WORK = 512  # pixels of the longer side at which is measured
SMALLEST = SMALL  # pixels of the shorter side, below which nothing is measured
NEAR = (
    2.0,
    1.0,
    0.5,
    0.5,
    0.5,
    0.5,
    0.5,
)  # pixels within which a tile agrees, pass by pass: the first sees a zoom smeared
SETTLED = 0.005  # pixels: a pass that changes no corner by more is the last
FEWEST = 3  # likewise in number: one or two tiles follow whatever thing they show
MOST = 0.25  # share of the tiles with detail that must move together, else there is no motion of the whole


@dataclass(frozen=True)
class Drift:
    """In pixels of the source. `motion` has no zoom and rotation of its own (a = b = 0) where `rigid` says why."""

    motion: Motion
    confidence: float
    agreement: float
    rigid: str = ""


class Unmeasurable(Exception):
    """Two pictures between which no motion can be told; the message is the reading's reason."""


def drift(source: Image.Image, edited: Image.Image) -> Drift:
    """Motion of the whole from `source` to `edited`. Raises Unmeasurable for flat, tiny or unrelated pictures."""
    if min(source.size) * min(1.0, WORK / max(source.size)) < SMALLEST:
        raise Unmeasurable(
            f"the picture is smaller than {SMALLEST} pixels, or more than {WORK // SMALLEST} times as long as wide"
        )
    first, second = _grey(source, source.size), _grey(edited, source.size)
    tiles, back, coarse = Tiles.over(first), Unwarp(second), _coarse(first, second)
    far = math.hypot(coarse.tx, coarse.ty) > tiles.side / 4  # perhaps the motion of one thing: also tried without it
    tried = [_settle(first, back, tiles, start) for start in ([Motion(0.0, 0.0), coarse] if far else [coarse])]
    best = max(tried, key=lambda t: int(t.together.sum()))
    detailed = tiles.detailed(first)
    if not detailed or not len(best.seen.x):
        raise Unmeasurable("too little detail in one of the pictures, or in both")
    if not best.seen.found.any():
        raise Unmeasurable("the pictures have nothing in common that could be followed")
    agreement = float(best.together.sum() / max(detailed, len(best.together)))
    if agreement < MOST:
        raise Unmeasurable(f"only {agreement:.0%} of the places with detail moved together")
    if best.together.sum() < FEWEST:
        raise Unmeasurable(f"fewer than {FEWEST} places with detail moved together")
    m, ratio = best.motion, max(source.size) / max(first.shape)
    confidence = float(np.clip(np.median(best.seen.peak), 0, 1))
    return Drift(Motion(m.tx * ratio, m.ty * ratio, m.a, m.b), confidence, agreement, best.rigid)


@dataclass(frozen=True)
class _Settled:
    motion: Motion
    seen: TileShifts
    together: np.ndarray  # bool[tiles seen]: those that moved with the whole
    rigid: str = ""


def _settle(first: np.ndarray, second: Unwarp, tiles: Tiles, motion: Motion) -> _Settled:
    """Pass by pass from a first guess, until the motion no longer changes."""
    for within in NEAR:
        before, rigid = motion, ""
        seen = tiles.follow(first, second, motion)
        used = seen.found
        if not used.any():
            break
        if _spread(seen.x[used], seen.y[used], tiles.side):
            x, y, u, v, peak = (values[used] for values in (seen.x, seen.y, seen.u, seen.v, seen.peak))
            motion = fit(x, y, u, v, peak, within)
        else:
            motion, rigid = _median(seen, used), "detail in too few places to tell a zoom"
        if within == NEAR[-1] and _apart(before, motion, first.shape) < SETTLED:
            break
    together = agreeing(motion, seen.x, seen.y, seen.u, seen.v, NEAR[-1]) & seen.found
    if together.any() and not rigid and not _spread(seen.x[together], seen.y[together], tiles.side):
        motion, rigid = _median(seen, together), "too few places moved together to tell a zoom"
    return _Settled(motion, seen, together, rigid)


def _median(seen: TileShifts, used: np.ndarray) -> Motion:
    return Motion(float(np.median(seen.u[used])), float(np.median(seen.v[used])))


def _apart(one: Motion, other: Motion, shape: tuple[int, ...]) -> float:
    """Largest difference of two motions over the picture's corners, pixels."""
    y, x = shape[0] / 2 * np.array([-1, -1, 1, 1]), shape[1] / 2 * np.array([-1, 1, -1, 1])
    (u, v), (p, q) = one.at(x, y), other.at(x, y)
    return float(np.hypot(u - p, v - q).max())


class DriftMetric:
    """`drift` over cases, against the source always."""

    keys: tuple[str, ...] = KEYS
    needs = frozenset({"source"})

    def measure(self, cases: Sequence[Case]) -> list[dict[str, Reading]]:
        return [self._one(case) for case in cases]

    def _one(self, case: Case) -> dict[str, Reading]:
        if case.source is None:
            return dict.fromkeys(KEYS, Reading.none("the item has no source picture"))
        try:
            d = drift(case.source, case.edited)
        except Unmeasurable as error:
            return dict.fromkeys(KEYS, Reading.none(str(error)))
        m = d.motion
        whole = (m.tx, m.ty, math.hypot(m.tx, m.ty))
        turned = [Reading.none(d.rigid)] * 2 if d.rigid else [Reading(m.scale), Reading(m.degrees)]
        readings = [*map(Reading, whole), *turned, Reading(d.confidence), Reading(d.agreement)]
        return dict(zip(KEYS, readings, strict=True))


def _spread(x: np.ndarray, y: np.ndarray, side: int) -> bool:
    """Three tiles, the outermost of which do not overlap: the least through which a zoom can be checked, not only laid."""
    return len(x) >= 3 and max(np.ptp(x), np.ptp(y)) >= side


def _coarse(first: np.ndarray, second: np.ndarray) -> Motion:
    """Phase correlation of the whole pictures; no motion where it has no clear peak (the tiles then find their own)."""
    shift = shifts(first[None], second[None])
    if shift.peak[0] < PEAK:
        return Motion(0.0, 0.0)
    return Motion(float(shift.dx[0]), float(shift.dy[0]))


def _grey(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """float64[H, W], 0..255, the picture brought to `size` and then to the working size."""
    picture = to_rgb(picture)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    width, height = size
    if max(size) > WORK:
        ratio = WORK / max(size)
        picture = picture.resize((round(width * ratio), round(height * ratio)), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float64) @ (0.299, 0.587, 0.114)


__all__ = ["KEYS", "Drift", "DriftMetric", "Unmeasurable", "drift"]
