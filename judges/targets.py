"""What the picture would look like with any subset of the wanted edits done, and which subset explains a result best.

A result need not be all or nothing: of "recolour it, then move it" one half may have been done. So the judge first determines
which edits were done, and then credits each edit with the others left as they are in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from benchmarks.base import Edit
from benchmarks.sandbox.edits import SceneDraft, work_through
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene
from common.errors import BadInput
from judges.pixels import EVERYTHING, distance

Cell = tuple[int, int]
Subset = frozenset[int]
MOST_SUBSETS = 6  # up to so many edits all 2^n subsets are tried; beyond, a family that grows with n^2


@dataclass
class Targets:
    """All hypotheses about one picture. `before` uint8[S, S, 3] is what was given, `scene` what was perceived in it."""

    scene: Scene
    before: np.ndarray
    edits: tuple[Edit, ...]
    cells: dict[int, Cell] = field(default_factory=dict)  # the chosen place of an edit that was free to choose
    _works: dict[Subset, SceneDraft | None] = field(default_factory=dict)
    _pictures: dict[Subset, np.ndarray] = field(default_factory=dict)
    _clean: np.ndarray | None = None

    @property
    def side(self) -> int:
        return len(self.before)

    @property
    def everything(self) -> Subset:
        return frozenset(range(len(self.edits)))

    # ---- pictures ----
    def draw(self, scene: Scene) -> np.ndarray:
        """uint8[S, S, 3] of a scene. What does not differ from the untouched scene is taken from the given picture, so
        that an imperfect perception cannot be held against the editor."""
        if self._clean is None:
            self._clean = render(self.scene, self.side)
        drawn = render(scene, self.side)
        changed = drawn != self._clean
        changed = changed[..., 0] | changed[..., 1] | changed[..., 2]
        return np.where(changed[..., None], drawn, self.before)

    def work(self, subset: Subset) -> SceneDraft | None:
        """The edits of a subset done in order, or None where they cannot be done without the others."""
        if subset not in self._works:
            order = sorted(subset)
            cells = {i: self.cells[k] for i, k in enumerate(order) if k in self.cells}
            try:
                self._works[subset] = work_through(self.scene, [self.edits[k] for k in order], cells)
            except BadInput:
                self._works[subset] = None
        return self._works[subset]

    def after(self, subset: Subset) -> Scene:
        work = self.work(subset)
        if work is None:
            raise BadInput("these edits cannot be done without the others")
        return work.result()

    def picture(self, subset: Subset) -> np.ndarray:
        if subset not in self._pictures:
            self._pictures[subset] = self.draw(self.after(subset))
        return self._pictures[subset]

    # ---- free places ----
    def choose_places(self, after: np.ndarray) -> None:
        """For each edit that may choose a cell take, one after the other, the cell whose whole target is nearest
        to the result. Raises BadInput where the edits are impossible."""
        work_through(self.scene, self.edits)
        for k, edit in enumerate(self.edits):
            if edit.action not in ("add", "move"):
                continue
            tries: list[tuple[float, int, tuple[int, int]]] = []
            for cell in work_through(self.scene, self.edits, self.cells).choices[k]:
                cells = {**self.cells, k: cell}
                try:
                    target = self.draw(work_through(self.scene, self.edits, cells).result())
                except BadInput:  # a later edit needs this cell
                    continue
                tries.append((_misfit(after, target), len(tries), cell))
            if len(tries) > 1:
                self.cells[k] = min(tries)[2]
        self._works.clear()
        self._pictures.clear()

    # ---- subsets ----
    def possible(self) -> list[Subset]:
        """The subsets that can be done, larger ones first (a tie means that the rest left no trace)."""
        n = len(self.edits)
        if n <= MOST_SUBSETS:
            family = {frozenset(c) for size in range(n + 1) for c in combinations(range(n), size)}
        else:
            whole = self.everything
            family = {whole, frozenset()} | {whole - {k} for k in whole} | {frozenset({k}) for k in whole}
            family |= {frozenset(range(a, b)) for a in range(n) for b in range(a + 1, n + 1)}
        ordered = sorted(family, key=lambda s: (-len(s), sorted(s)))
        return [s for s in ordered if self.work(s) is not None]

    def done_in(self, after: np.ndarray) -> Subset:
        """The subset whose picture is nearest to the result."""
        return min(self.possible(), key=lambda s: _misfit(after, self.picture(s)))  # the first of equals

    def step(self, k: int, done: Subset) -> tuple[Subset, Subset]:
        """(without, with) edit k, as near as possible to what was done: where edits need each other (a swap of places,
        a change of what was added) they come and go together."""
        if k in done:
            without = [s for s in self.possible() if s <= done and k not in s]
            return max(without, key=len), done
        with_it = [s for s in self.possible() if s >= done and k in s]
        return done, min(with_it, key=len) if with_it else self.everything

    def traceless(self) -> Subset:
        """Edits whose work does not show once all are done (a recoloured thing that was then removed)."""
        kept = self.everything
        for k in sorted(self.everything):
            rest = kept - {k}
            if self.work(rest) is not None and np.array_equal(self.picture(rest), self.picture(self.everything)):
                kept = rest
        return self.everything - kept


def _misfit(after: np.ndarray, target: np.ndarray) -> float:
    return float(np.minimum(distance(after, target), EVERYTHING).sum(dtype=np.float64))


def hypotheses(scene: Scene, before: np.ndarray, edits: Sequence[Edit], after: np.ndarray) -> Targets:
    """The targets for one result. Raises BadInput where the edits are impossible on the scene."""
    targets = Targets(scene, before, tuple(edits))
    targets.choose_places(after)
    return targets


__all__ = ["Targets", "hypotheses"]
