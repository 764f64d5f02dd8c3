"""How far each wanted edit was done, measured on the pixels that this edit changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.sandbox.render import object_mask, zoom_in
from benchmarks.sandbox.scene import Scene
from judges.pixels import progress
from judges.targets import Subset, Targets

DONE = 0.5  # an edit counts as done from this credit on
WHOLE_PICTURE = ("relight", "tone", "zoom")  # they change every pixel, so no region is theirs alone


@dataclass(frozen=True)
class Credit:
    """`credit` 0..1; None for an edit whose work cannot show in the final picture, which is not counted."""

    credit: float | None
    region: np.ndarray  # bool[S, S]: the pixels this edit changes

    @property
    def done(self) -> bool | None:
        return None if self.credit is None else self.credit >= DONE


def things_mask(scene: Scene, things: list, side: int) -> np.ndarray:
    """bool[S, S]: where these things of a scene are in its picture."""
    mask = np.zeros((side, side), dtype=bool)
    for thing in things:
        mask |= object_mask(thing, side)
    return zoom_in(mask, scene.zoom) if scene.zoom else mask


def credits(targets: Targets, done: Subset, after: np.ndarray) -> list[Credit]:
    """One per edit. The credit is the progress made from the picture without the edit to the picture with it, the other
    edits left as they are in the result."""
    hidden = targets.traceless()
    result = []
    for k, edit in enumerate(targets.edits):
        without, with_it = targets.step(k, done)
        here = None
        if edit.action == "move":
            old, new = targets.after(without), targets.after(with_it)
            here = things_mask(new, [t for t in new.things if t not in old.things], targets.side)
        credit = credit_of(after, targets.picture(without), targets.picture(with_it), here)
        result.append(replace(credit, credit=None) if k in hidden else credit)
    return result


def credit_of(after: np.ndarray, base: np.ndarray, target: np.ndarray, here: np.ndarray | None = None) -> Credit:
    """The progress made from `base` to `target`, uint8[S, S, 3] each, 0 where they are the same picture. `here` bool[S, S]: where
    a move is to arrive. A move earns half of its credit by the worse of its two ends (gone there, arrived here): copying a
    thing or losing it is not half a move."""
    credit, weight = progress(after, base, target)
    region = weight > 0
    parts = [region] if here is None else [part for part in (region & here, region & ~here) if part.any()]
    shares = [float((credit[p] * weight[p]).sum() / weight[p].sum()) for p in parts if p.any()]
    value = (sum(shares) / len(shares) + min(shares)) / 2 if shares else 0.0
    return Credit(round(min(1.0, value), 6), region)


def fulfilled(edit_credits: list[Credit]) -> float:
    """10 * mean credit of the edits that can show; 10 where none can (nothing visible was asked for)."""
    counted = [c.credit for c in edit_credits if c.credit is not None]
    return 10 * sum(counted) / len(counted) if counted else 10.0


__all__ = ["DONE", "WHOLE_PICTURE", "Credit", "credit_of", "credits", "fulfilled", "things_mask"]
