"""The exact answer to a list of edits on a scene.

Names refer to things as they look in the given scene; a thing added or changed earlier in the list may also be named by
its new look. Two things may share a cell for a moment (a swap of places is two moves), but not at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.base import ACTIONS, Edit
from benchmarks.sandbox.font import is_drawable
from benchmarks.sandbox.phrases import CELL_OF, find, matches, parse_count, parse_look, parse_place, the_one
from benchmarks.sandbox.scene import (
    BACKGROUNDS,
    CELL_NAMES,
    CELLS,
    COLOURS,
    LIGHTS,
    MATERIALS,
    MAX_CAPTION,
    MAX_LABEL,
    TONES,
    Scene,
    Thing,
)
from common.errors import BadInput

Cell = tuple[int, int]
CAPTION_NAMES = ("caption", "text", "writing")  # what 'remove the text' may call the caption


@dataclass
class SceneDraft:
    """A scene in the making. `things[i]` for i < len(original) is what became of the i-th original thing (None: removed),
    later entries were added. `touched[k]` says what the k-th edit worked on: a thing's index or a scene field's name."""

    given: Scene
    scene: Scene = field(init=False)  # background, caption, light, tone, zoom so far
    things: list[Thing | None] = field(init=False)
    changed: set[int] = field(default_factory=set)
    touched: list[int | str] = field(default_factory=list)
    choices: list[tuple[Cell, ...]] = field(
        default_factory=list
    )  # per edit, the cells that satisfied it when it was made

    def __post_init__(self) -> None:
        self.scene, self.things = self.given, list(self.given.things)

    def result(self) -> Scene:
        return replace(self.scene, things=tuple(t for t in self.things if t is not None))

    # ---- names ----
    def index_of(self, name: str) -> int:
        """Which thing a name means now."""
        original = matches(self.given.things, name)
        if original:
            index = self.given.things.index(the_one(self.given.things, name))
            if self.things[index] is not None:
                return index
        later = [(i, t) for i, t in enumerate(self.things) if i in self.changed and t is not None]
        if original and not matches([t for _, t in later], name):
            raise BadInput(f"the '{name}' was already removed")
        look = the_one([t for _, t in later], name) if later else find(self.given, name)
        return next(i for i, t in later if t is look)

    def get(self, index: int) -> Thing:
        thing = self.things[index]
        assert thing is not None  # index_of never returns a removed thing
        return thing

    def put(self, index: int, thing: Thing | None) -> int:
        self.things[index] = thing
        self.changed.add(index)
        return index

    # ---- places ----
    def cells_for(self, goal: str | None, moving: int | None = None) -> tuple[Cell, ...]:
        """All cells that satisfy a place, the default first. A moving thing's own cell counts as free."""
        taken = {t.cell for i, t in enumerate(self.things) if t is not None and i != moving}
        free = [c for c in CELLS if c not in taken]
        if goal is None:
            if not free:
                raise BadInput("there is no free place left in the picture")
            return tuple(free)
        place = parse_place(goal)
        if not isinstance(place[0], str):
            return ((int(place[0]), int(place[1])),)
        anchor_index = self.index_of(str(place[1]))
        if anchor_index == moving:
            raise BadInput(f"a thing cannot be put {place[0]} itself")
        row, col = self.get(anchor_index).cell
        beyond = {
            "left of": lambda c: c[1] < col,
            "right of": lambda c: c[1] > col,
            "above": lambda c: c[0] < row,
            "below": lambda c: c[0] > row,
        }[place[0]]
        sideways = place[0] in ("left of", "right of")

        def distance(c: Cell) -> tuple[int, int, Cell]:
            across, along = abs(c[0] - row), abs(c[1] - col)
            return (across, along, c) if sideways else (along, across, c)

        # the neighbour first; then straight on; then whatever is nearest to the anchor's own row or column
        cells = tuple(sorted((c for c in free if beyond(c)), key=distance))
        if not cells:
            raise BadInput(f"there is no free place {place[0]} the {place[1]}")
        return cells

    # ---- edits ----
    def apply(self, edit: Edit, cell: Cell | None = None) -> None:
        """Do one edit; `cell` chooses among the cells that satisfy it."""
        if edit.action not in ACTIONS:
            raise BadInput(f"unknown action '{edit.action}'; one of {', '.join(ACTIONS)}")
        self.choices.append(())
        self.touched.append(getattr(self, f"_{edit.action}")(edit.subject, edit.goal, cell))

    def _choose(self, cells: tuple[Cell, ...], cell: Cell | None) -> Cell:
        self.choices[-1] = cells
        return cell if cell in cells else cells[0]

    def _add(self, subject: str, goal: str | None, cell: Cell | None) -> int:
        look = parse_look(subject)
        if look.shape is None or look.colour is None:
            raise BadInput(f"cannot add '{subject}': say its colour and its shape, e.g. 'red circle'")
        at = self._choose(self.cells_for(goal), cell)
        thing = Thing(look.shape, look.colour, at, look.material or "plain", look.size or "medium", look.count or 1)
        self.things.append(thing)
        return self.put(len(self.things) - 1, thing)

    def _remove(self, subject: str, goal: str | None, cell: Cell | None) -> int | str:
        if subject.lower().removeprefix("the ") in CAPTION_NAMES:
            self.scene = replace(self.scene, caption="")
            return "caption"
        return self.put(self.index_of(subject), None)

    def _replace(self, subject: str, goal: str | None, cell: Cell | None) -> int:
        index = self.index_of(subject)
        old, look = self.get(index), parse_look(goal or "")
        if look.shape is None:
            raise BadInput(f"cannot replace the '{subject}' with '{goal}': say the new shape")
        new = Thing(
            look.shape,
            look.colour or old.colour,
            old.cell,
            look.material or "plain",
            look.size or old.size,
            look.count or 1,
            nudge=old.nudge,
        )
        return self.put(index, new)

    def _recolor(self, subject: str, goal: str | None, cell: Cell | None) -> int:
        colour = _one_of(goal, tuple(COLOURS), "colour", {"grey": "gray"})
        index = self.index_of(subject)
        return self.put(index, replace(self.get(index), colour=colour))

    def _material(self, subject: str, goal: str | None, cell: Cell | None) -> int:
        material = _one_of(goal, MATERIALS, "material")
        index = self.index_of(subject)
        return self.put(index, replace(self.get(index), material=material))

    def _text(self, subject: str, goal: str | None, cell: Cell | None) -> int | str:
        on_image = subject.lower() == "image"
        text = _writing(goal, MAX_CAPTION if on_image else MAX_LABEL)
        if on_image:
            self.scene = replace(self.scene, caption=text)
            return "caption"
        index = self.index_of(subject)
        return self.put(index, replace(self.get(index), label=text))

    def _move(self, subject: str, goal: str | None, cell: Cell | None) -> int:
        if goal is None:
            raise BadInput(f"cannot move the '{subject}': say where to")
        index = self.index_of(subject)
        at = self._choose(self.cells_for(goal, moving=index), cell)
        return self.put(index, replace(self.get(index), cell=at))

    def _count(self, subject: str, goal: str | None, cell: Cell | None) -> int:
        count = parse_count(goal)
        index = self.index_of(subject)
        return self.put(index, replace(self.get(index), count=count))

    def _background(self, subject: str, goal: str | None, cell: Cell | None) -> str:
        self.scene = replace(self.scene, background=_one_of(goal, BACKGROUNDS, "background"))
        return "background"

    def _relight(self, subject: str, goal: str | None, cell: Cell | None) -> str:
        self.scene = replace(self.scene, light=_one_of(goal, LIGHTS, "light"))
        return "light"

    def _tone(self, subject: str, goal: str | None, cell: Cell | None) -> str:
        self.scene = replace(self.scene, tone=_one_of(goal, TONES, "tone", {"greyscale": "grayscale"}))
        return "tone"

    def _zoom(self, subject: str, goal: str | None, cell: Cell | None) -> str:
        place = parse_place(goal or "")
        if place not in CELL_NAMES:
            raise BadInput(f"cannot zoom in on '{goal}'; use one of {', '.join(CELL_NAMES.values())}")
        self.scene = replace(self.scene, zoom=CELL_NAMES[place])  # type: ignore[index]
        return "zoom"


def _one_of(goal: str | None, words: Sequence[str], what: str, same: Mapping[str, str] | None = None) -> str:
    word = (goal or "").strip().lower()
    word = (same or {}).get(word, word)
    if word not in words:
        raise BadInput(f"unknown {what} {goal!r}; one of {', '.join(words)}")
    return word


def _writing(goal: str | None, most: int) -> str:
    text = (goal or "").strip().strip("'\"").upper()
    if not text or len(text) > most or not is_drawable(text):
        raise BadInput(f"cannot write {goal!r}; use 1 to {most} characters A-Z, 0-9")
    return text


def work_through(scene: Scene, edits: Sequence[Edit], cells: Mapping[int, Cell] | None = None) -> SceneDraft:
    """Apply edits one by one; `cells[k]` chooses the cell of edit k where it is free to choose. Raises BadInput naming
    the edit that cannot be done."""
    work = SceneDraft(scene)
    for k, edit in enumerate(edits):
        try:
            work.apply(edit, (cells or {}).get(k))
        except BadInput as error:
            what = " ".join(
                w for w in (edit.action, f"'{edit.subject}'", f"-> '{edit.goal}'" if edit.goal else "") if w
            )
            raise BadInput(f"edit {k + 1} of {len(edits)} ({what}): {error}") from None
    seen: dict[Cell, Thing] = {}
    for thing in work.result().things:
        if thing.cell in seen:
            raise BadInput(
                f"the {seen[thing.cell].phrase} and the {thing.phrase} would both be at the {CELL_NAMES[thing.cell]};"
                " move one of them elsewhere first"
            )
        seen[thing.cell] = thing
    return work


def apply_edits(scene: Scene, edits: Sequence[Edit], cells: Mapping[int, Cell] | None = None) -> Scene:
    """The scene after the edits. Raises BadInput where an edit is impossible or ambiguous."""
    return work_through(scene, edits, cells).result()


def candidates(scene: Scene, edit: Edit) -> tuple[Cell, ...]:
    """All cells that satisfy a placing edit (add, move) on this scene, the default first; () for other actions."""
    if edit.action not in ("add", "move"):
        return ()
    work = SceneDraft(scene)
    work.apply(edit)
    taken = {t.cell for t in scene.things}
    return tuple(c for c in work.choices[0] if c not in taken or edit.action == "move")


__all__ = ["CELL_OF", "SceneDraft", "apply_edits", "candidates", "find", "work_through"]
