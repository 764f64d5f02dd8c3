"""Content consistency of sandbox sessions: is what no turn so far was to change still as it is in the first picture?

The things and pixels that turns are to change are known from the session played as it is meant, with its rule; and, since a turn
may be done at another place than the default one, from the play that is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.base import Edit
from benchmarks.sandbox.edits import work_through
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene
from judges.fulfilment import WHOLE_PICTURE, things_mask
from judges.pixels import grow, near_loss, smooth
from judges.preservation import Preserved, of_regions
from judges.sessions.turns import apply_rule


@dataclass(frozen=True)
class Untouched:
    """After each of K turns: the things of the first picture, by name, that no turn so far touches, bool[S, S] each, and the pixels
    that some turn so far is to change, bool[S, S]. `first`: the first picture, smoothed."""

    first: np.ndarray
    things_K: tuple[dict[str, np.ndarray], ...]
    changed_K: tuple[np.ndarray, ...]

    def kept(self, turn: int, result: np.ndarray, elsewhere: np.ndarray) -> Preserved:
        """How much of it is still in a result, uint8[S, S, 3]. `elsewhere` bool[S, S]: what else the turns so far have changed
        rightly. Both pictures are smoothed, as `judges.preservation` does."""
        kept = ~grow(self.changed_K[turn] | elsewhere)
        return of_regions(near_loss(smooth(result), self.first), kept, self.things_K[turn])


def untouched(first: np.ndarray, scene: Scene, edits: Sequence[Edit], rule: Edit | None) -> Untouched:
    """For K edits on a scene perceived in the first picture, uint8[S, S, 3]. Raises BadInput where the edits, each with the rule,
    cannot be done one after the other."""
    side = len(first)
    masks = {thing.name: things_mask(scene, [thing], side) for thing in scene.things}
    names: list[str | None] = [
        t.name for t in scene.things
    ]  # beside the things of `now`: None once one was touched or added
    now, drawn, changed = scene, render(scene, side), np.zeros((side, side), dtype=bool)
    things_K, changed_K = [], []
    for edit in edits:
        draft = work_through(now, [edit])
        if rule is not None:
            apply_rule(draft, rule)
        index = draft.touched[0]
        names += [None] * (len(draft.things) - len(names))
        if isinstance(index, int):
            names[index] = None
            both = (*now.things[index : index + 1], draft.things[index])  # an added thing was not there before
            changed = changed | things_mask(now, [t for t in both if t is not None], side)
        names = [name for name, thing in zip(names, draft.things, strict=True) if thing is not None]
        things = {name: masks[name] for name in names if name is not None}
        now, before = draft.result(), drawn
        drawn = render(now, side)
        changed = changed | (drawn != before).any(-1)
        if index == "background":
            changed = changed | ~np.any([*things.values(), np.zeros_like(changed)], axis=0)
        if edit.action in WHOLE_PICTURE:
            changed = np.ones_like(changed)
        things_K.append(things)
        changed_K.append(changed)
    return Untouched(smooth(first), tuple(things_K), tuple(changed_K))


__all__ = ["Untouched", "untouched"]
