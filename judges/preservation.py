"""Whether everything that no wanted edit touches is still there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from benchmarks.sandbox.render import CAPTION_TOP
from benchmarks.sandbox.scene import LIGHTS, TONES, Scene, Thing
from judges.fulfilment import WHOLE_PICTURE, Credit, things_mask
from judges.pixels import grow, near_loss, smooth
from judges.targets import Subset, Targets

THING_LOST = 0.6  # a thing of whose pixels this share is wrong is lost altogether (the outline outlives a wrong colour)
TILE_LOST = 0.15  # an object that was not asked for covers about so much of the tile it stands in
FEWEST = 24  # pixels (at side 64): what is left of a region below this says nothing
WORST_THING, WORST_TILE = 0.3, 0.7  # the share of the worst region in the score, the rest is their mean


@dataclass(frozen=True)
class Preserved:
    """Each 0..1; None where no such region is left to compare."""

    things: dict[str, float]
    background: float | None

    @property
    def score(self) -> float:
        """0..10. A mean alone would let a crowded picture hide one lost object; the share of the worst makes it visible
        whatever the number of objects and however much of the picture is background."""
        regions = [*self.things.values(), *([] if self.background is None else [self.background])]
        return 10 * _blend(regions, WORST_THING) if regions else 10.0


def _blend(values: Sequence[float], worst: float) -> float:
    return (1 - worst) * sum(values) / len(values) + worst * min(values)


def preserved(targets: Targets, done: Subset, edit_credits: Sequence[Credit], after: np.ndarray) -> Preserved:
    """Compared with the target as far as its edits were done, so that an edit left out or done badly is a matter of its
    fulfilment alone. Both pictures are smoothed, so that blur, noise and a shift by a pixel (matters of quality, or
    small) cost less than content."""
    side = targets.side
    touched_pixels = np.zeros((side, side), dtype=bool)
    for edit, credit in zip(targets.edits, edit_credits, strict=True):
        if edit.action not in WHOLE_PICTURE:
            touched_pixels |= credit.region
    kept = ~grow(touched_pixels)
    scene = targets.after(done)
    smoothed = smooth(after)
    looks = [smooth(targets.draw(s)) for s in _graded(scene, targets)]
    wrong = min((near_loss(smoothed, look) for look in looks), key=lambda d: d[kept].sum())

    return of_regions(wrong, kept, {t.name: things_mask(scene, [t], side) for t in untouched(targets)})


def of_regions(wrong: np.ndarray, kept: np.ndarray, things: Mapping[str, np.ndarray]) -> Preserved:
    """From the loss of every pixel, float[S, S] in 0..1. `kept` bool[S, S]: the pixels that are compared; `things`: by name,
    where each thing is that must have stayed, bool[S, S]. The rest of what is compared is background."""
    side = len(wrong)
    fewest = FEWEST * (side / 64) ** 2
    still, covered = {}, np.zeros((side, side), dtype=bool)
    for name, mask in things.items():
        covered |= mask
        region = mask & kept
        if region.sum() >= min(fewest, 0.5 * mask.sum()) > 0:
            lost = float(wrong[region].mean(dtype=np.float64))
            still[name] = max(0.0, 1 - lost / THING_LOST)
    tiles = [
        max(0.0, 1 - float(wrong[tile][free].mean(dtype=np.float64)) / TILE_LOST)
        for tile in _tiles(side)
        if (free := (kept & ~covered)[tile]).sum() >= fewest
    ]
    return Preserved(still, _blend(tiles, WORST_TILE) if tiles else None)


def untouched(targets: Targets) -> list[Thing]:
    """The things of the given picture that no edit works on."""
    work = targets.work(targets.everything)
    touched = set() if work is None else set(work.touched)
    return [t for i, t in enumerate(targets.scene.things) if i not in touched]


def _graded(scene: Scene, targets: Targets) -> Iterator[Scene]:
    """The scene in every light and tone that a request for light or tone may have ended in: the wrong light was a bad
    answer to that request, and no loss of content."""
    actions = {edit.action for edit in targets.edits}
    lights = ("", *LIGHTS) if "relight" in actions else (scene.light,)
    tones = ("", *TONES) if "tone" in actions else (scene.tone,)
    yield scene
    for light, tone in product(lights, tones):
        if (light, tone) != (scene.light, scene.tone):
            yield replace(scene, light=light, tone=tone)


def _tiles(side: int) -> Iterator[tuple[slice, slice]]:
    """The nine cells and the caption band."""
    rows = [round(v * side / 64) for v in (0, 18, 36, CAPTION_TOP)]
    cols = [round(v * side / 3) for v in range(4)]
    for top, bottom in zip(rows, rows[1:], strict=False):
        for left, right in zip(cols, cols[1:], strict=False):
            yield slice(top, bottom), slice(left, right)
    yield slice(rows[-1], side), slice(0, side)


__all__ = ["Preserved", "of_regions", "preserved", "untouched"]
