"""The pictures that the right answers to some edits look like: all of them, all but one, each alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from benchmarks.base import GLOBAL_ACTIONS, Edit
from benchmarks.errors import BadInput
from benchmarks.sandbox.edits import Cell, Work, work_through
from benchmarks.sandbox.render import object_mask, render, zoom_in
from benchmarks.sandbox.scene import Scene
from judges.measure import differs, match


class Answers:
    """Pictures are uint8[S, S, 3]. Pixels that an answer does not change are taken from `before` as they are, so noise in
    the input is nobody's fault. Raises BadInput where the edits cannot be done on the scene."""

    def __init__(self, before: np.ndarray, scene: Scene, edits: Sequence[Edit], after: np.ndarray):
        self.before, self.scene, self.edits = before, scene, tuple(edits)
        self.side = len(before)
        self.drawn = render(scene, self.side)
        self.cells = self._choose_cells(after)
        self.work: Work = work_through(scene, self.edits, self.cells)

    def paint(self, scene: Scene) -> np.ndarray:
        """A scene over the input: only what differs from the scene of the input is drawn."""
        zoom = scene.zoom if scene.zoom != self.scene.zoom else ""
        flat = Scene(scene.background, scene.things, scene.caption, scene.light, scene.tone, self.scene.zoom)
        new = render(flat, self.side)
        picture = np.where(differs(new, self.drawn)[..., None], new, self.before)
        return zoom_in(picture, zoom) if zoom else picture

    def _choose_cells(self, after: np.ndarray) -> Mapping[int, Cell]:
        """For every edit that may choose its cell, the one whose answer looks most like `after`; greedy, in order."""
        cells: dict[int, Cell] = {}
        for k, edit in enumerate(self.edits):
            if edit.action not in ("add", "move"):
                continue
            work = Work(self.scene)
            for i, earlier in enumerate(self.edits[: k + 1]):
                work.apply(earlier, cells.get(i))
            if len(work.choices[k]) > 1:
                cells[k] = max(work.choices[k], key=lambda cell: self._likeness({**cells, k: cell}, after))  # noqa: B023
        return cells

    def _likeness(self, cells: Mapping[int, Cell], after: np.ndarray) -> float:
        try:
            picture = self.paint(work_through(self.scene, self.edits, cells).result())
        except BadInput:  # this cell is needed by a later edit
            return -1.0
        return float(match(picture, after).mean())

    def _try(self, kept: Sequence[int]) -> np.ndarray | None:
        """The answer to some of the edits, or None where they cannot be done without the others."""
        cells = {n: self.cells[i] for n, i in enumerate(kept) if i in self.cells}
        try:
            return self.paint(work_through(self.scene, [self.edits[i] for i in kept], cells).result())
        except BadInput:
            return None

    @cached_property
    def target(self) -> np.ndarray:
        return self.paint(self.work.result())

    @cached_property
    def without(self) -> list[np.ndarray | None]:
        """For each edit, the answer to all others."""
        everything = range(len(self.edits))
        return [self._try([j for j in everything if j != i]) for i in everything]

    @cached_property
    def alone(self) -> list[np.ndarray | None]:
        """For each edit, the answer to it alone."""
        return [self._try([i]) for i in range(len(self.edits))]

    @property
    def whole_picture(self) -> tuple[Edit, ...]:
        return tuple(e for e in self.edits if e.action in GLOBAL_ACTIONS)

    def footprint(self, i: int) -> np.ndarray:
        """bool[S, S]: where the thing that edit i touches was and is, in the target's frame; everywhere for other edits."""
        index = self.work.touched[i]
        if isinstance(index, str):
            return np.ones((self.side, self.side), dtype=bool)
        mask = np.zeros((self.side, self.side), dtype=bool)
        was = self.scene.things[index] if index < len(self.scene.things) else None
        for thing in (was, self.work.things[index]):
            if thing is not None:
                mask |= object_mask(thing, self.side)
        zoom = self.work.scene.zoom
        return zoom_in(mask[..., None], zoom)[..., 0] if zoom else mask


__all__ = ["Answers"]
