"""One turn of a sandbox session, judged from the picture before it, as it is, to its result.

A turn may be done in several ways: in any cell that a place leaves open, and with the session's lasting rule applied to the touched
thing or without. The way nearest to the result is what the result is measured against:

* its credit, 0..1, is the progress made on the pixels that the way changes (`judges.fulfilment`);
* the turn is done where the credit is at least DONE, and what is seen in the touched cell is what was asked for. Pixels alone would
  take a star for a circle of the same size, and four copies for five;
* it is done as meant where it is done with the rule, and the rule was applied to the touched thing alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.base import Edit
from benchmarks.sandbox.edits import SceneDraft, work_through
from benchmarks.sandbox.perceive import Perception
from benchmarks.sandbox.phrases import parse_look
from benchmarks.sandbox.scene import CELL_NAMES, Scene, Thing
from judges.fulfilment import DONE, Credit, credit_of, things_mask
from judges.pixels import EVERYTHING, distance, grow, loss
from judges.targets import Cell, Targets

EVERYWHERE = 0.5  # mean loss outside the touched region from which a change is one of the whole picture, such as a tint
RULED = {"recolor": "colour", "material": "material"}  # what a rule sets
ASKED = {
    "material": ("material",),
    "count": ("count",),
    "text": ("label",),
}  # besides what is always looked at, the name


@dataclass(frozen=True)
class Way:
    """One way of doing a turn. `old` and `new` are the touched thing before and after: None where it was not there, where it is
    removed, and where the turn touches no thing. `picture` uint8[S, S, 3]."""

    scene: Scene
    old: Thing | None
    new: Thing | None
    picture: np.ndarray


@dataclass(frozen=True)
class TurnOutcome:
    """`credit` 0..1; `region` bool[S, S]: the pixels that the turn was to change; `reason` where it is not done as meant."""

    credit: float
    done: bool
    as_meant: bool
    region: np.ndarray
    reason: str = ""


def impossible(side: int, reason: str) -> TurnOutcome:
    """The outcome of a turn that cannot be done on the picture before it."""
    return TurnOutcome(0.0, False, False, np.zeros((side, side), dtype=bool), reason)


def judge_turn(
    before: np.ndarray, given: Perception, after: np.ndarray, seen: Perception, edit: Edit, rule: Edit | None
) -> TurnOutcome:
    """What became of one turn. before, after: uint8[S, S, 3]; given, seen: what was perceived in them. Raises BadInput where the
    edit is impossible on what is given."""
    targets = Targets(given.scene, before, (edit,))
    ways = list(ways_of(targets, edit, rule))
    changing = [way for way in ways if way.scene != given.scene]
    # a rule may undo the edit that it belongs to: leaving everything as it is does not do such a turn
    way = min(
        changing or ways, key=lambda w: float(np.minimum(distance(after, w.picture), EVERYTHING).sum(dtype=np.float64))
    )
    credit = _credit(before, after, way, edit)
    place = touched_region(given.scene, way, len(before)) | credit.region
    value = credit.credit or 0.0
    wrong = _not_seen(seen.scene, way, edit)
    if value < DONE or wrong:
        return TurnOutcome(value, False, False, place, wrong or f"only {value:.0%} of the change was made")
    broken = _rule_broken(before, given.scene, after, seen.scene, way, rule, place)
    return TurnOutcome(value, True, not broken, place, broken)


def ways_of(targets: Targets, edit: Edit, rule: Edit | None) -> Iterator[Way]:
    """Every way of doing an edit. Raises BadInput where it is impossible."""
    cells: tuple[Cell | None, ...] = work_through(targets.scene, [edit]).choices[0] or (None,)
    for cell in cells:
        draft = work_through(targets.scene, [edit], {} if cell is None else {0: cell})
        yield _way(targets, draft)
        if rule is not None and apply_rule(draft, rule):
            yield _way(targets, draft)


def apply_rule(draft: SceneDraft, rule: Edit) -> bool:
    """Apply a lasting rule to the thing that a draft's only edit touched. False where there is none: removals and edits of the
    whole picture are exempt."""
    index = draft.touched[0]
    if isinstance(index, str) or draft.things[index] is None:
        return False
    thing, value = draft.get(index), rule.goal or ""
    draft.put(index, replace(thing, colour=value) if rule.action == "recolor" else replace(thing, material=value))
    return True


def touched_region(scene: Scene, way: Way, side: int) -> np.ndarray:
    """bool[S, S]: where the touched thing was and where it is to be."""
    return things_mask(scene, [t for t in (way.old, way.new) if t is not None], side)


def _way(targets: Targets, draft: SceneDraft) -> Way:
    index, given, scene = draft.touched[0], targets.scene.things, draft.result()
    if isinstance(index, str):
        return Way(scene, None, None, targets.draw(scene))
    return Way(scene, given[index] if index < len(given) else None, draft.things[index], targets.draw(scene))


def _credit(before: np.ndarray, after: np.ndarray, way: Way, edit: Edit) -> Credit:
    if (way.picture == before).all():  # the picture before shows it already: it is done as far as it is kept
        region = touched_region(way.scene, way, len(before))
        return Credit(1.0 - float(loss(after, before)[region].mean()) if region.any() else 1.0, region)
    here = things_mask(way.scene, [way.new], len(before)) if edit.action == "move" and way.new is not None else None
    return credit_of(after, before, way.picture, here)


def _not_seen(scene: Scene, way: Way, edit: Edit) -> str:
    """What the result shows instead of what the turn was to leave in the cells it touched; empty where it shows that."""
    if way.new is None:
        left = None if way.old is None else _at(scene, way.old.cell)
        return "" if left is None else f"the result still shows a {left.name} at the {CELL_NAMES[left.cell]}"
    there = _at(scene, way.new.cell)
    if there is None or there.name != way.new.name:
        shown = "nothing" if there is None else f"a {there.name}"
        return f"the result shows {shown} at the {CELL_NAMES[way.new.cell]} instead of a {way.new.name}"
    for name in _asked(edit):
        if getattr(there, name) != getattr(way.new, name):
            return f"the {name} of the {there.name} is {getattr(there, name)!r} and not {getattr(way.new, name)!r}"
    if way.old is not None and way.old.cell != way.new.cell and (left := _at(scene, way.old.cell)) is not None:
        return f"the result still shows a {left.name} at the {CELL_NAMES[left.cell]}"
    return ""


def _asked(edit: Edit) -> tuple[str, ...]:
    """The attributes besides shape and colour that an edit asks for."""
    if edit.action not in ("add", "replace"):
        return ASKED.get(edit.action, ())
    look = parse_look(edit.subject if edit.action == "add" else edit.goal or "")
    return tuple(name for name in ("material", "size", "count") if getattr(look, name) is not None)


def _rule_broken(
    before: np.ndarray, given: Scene, after: np.ndarray, seen: Scene, way: Way, rule: Edit | None, place: np.ndarray
) -> str:
    """How the result of a turn that is done breaks the rule; empty where it keeps it."""
    if rule is None or way.new is None:
        return ""
    name, value = RULED[rule.action], rule.goal
    there = _at(seen, way.new.cell)
    if there is None or getattr(there, name) != value:
        return f"the rule was not applied: the {way.new.name} is not {value}"
    others = [thing for thing in given.things if thing is not way.old and thing.cell != way.new.cell]
    for thing in others:
        now = _at(seen, thing.cell)
        if now is not None and getattr(thing, name) != value == getattr(now, name):
            return f"the rule was applied to the {thing.name} too, which this turn does not touch"
    around = ~grow(place)
    if around.any() and float(loss(after, before)[around].mean()) > EVERYWHERE:
        return "the whole picture was changed, not the touched thing alone"
    return ""


def _at(scene: Scene, cell: Cell) -> Thing | None:
    return next((thing for thing in scene.things if thing.cell == cell), None)


__all__ = ["TurnOutcome", "Way", "apply_rule", "impossible", "judge_turn", "touched_region", "ways_of"]
