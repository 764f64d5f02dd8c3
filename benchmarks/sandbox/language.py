"""From gold edits to words: clauses, references that only the picture resolves, politeness and noise.

`Speaker` holds one request's random choices. Nothing here draws pixels or decides what to edit (`generate.py` does).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from random import Random

from benchmarks.base import Edit
from benchmarks.sandbox import templates as T
from benchmarks.sandbox.scene import MATERIALS, ROUND_SHAPES, SHAPES, Scene, Thing

PLACES = {  # goal -> wordings; the first is the explicit one
    "left of": ("to the left of {r}", "left of {r}", "on the left side of {r}"),
    "right of": ("to the right of {r}", "right of {r}", "on the right side of {r}"),
    "above": ("above {r}", "over {r}", "on top of {r}"),
    "below": ("below {r}", "under {r}", "beneath {r}"),
}
NO_VERB = (
    "i",
    "i'd",
    "it",
    "there",
    "the",
    "at",
    "in",
    "to",
    "can",
    "more",
    "less",
    "above",
    "below",
    "under",
    "over",
    "on",
    "left",
    "right",
    "no",
    "where",
    "a",
    "everyone",
    "everything",
    "each",
    "nobody",
    "instead",
)


class Speaker:
    """Words for one request.

    `plain` keeps to the explicit wordings, `share` < 1 to the first part of each list, `unseen` adds the test-only ones.
    """

    def __init__(self, rng: Random, plain: bool = False, unseen: bool = False, share: float = 1.0):
        self.rng, self.plain, self.unseen, self.share = rng, plain, unseen, share

    def pick(self, templates: Sequence[str]) -> str:
        """A template that this split may use, without its mark."""
        allowed = [t for t in templates if self.unseen or not t.startswith("!")]
        if self.plain:
            allowed = allowed[:2]
        elif self.share < 1:
            allowed = allowed[: ceil(self.share * len(allowed))]
        return self.rng.choice(allowed).removeprefix("!")

    # ---- names ----
    def word(self, table: dict[str, tuple[str, ...]], key: str) -> str:
        """The canonical word, or in a free wording now and then a synonym."""
        if self.plain or self.rng.random() < 0.7:
            return key
        return self.rng.choice(table[key])

    def name(self, thing: Thing) -> str:
        return f"{self.word(T.COLOUR_WORDS, thing.colour)} {self.word(T.SHAPE_WORDS, thing.shape)}"

    def phrase(self, thing: Thing) -> str:
        size = "" if thing.size == "medium" else thing.size + " "
        material = "" if thing.material == "plain" else self.word(T.MATERIAL_WORDS, thing.material) + " "
        return f"{size}{material}{self.name(thing)}"

    def goal(self, edit: Edit, things: dict[str, Thing]) -> str:
        """The goal of an edit as words; `things` maps the names it may mention."""
        goal = edit.goal or ""
        match edit.action:
            case "recolor":
                return self.word(T.COLOUR_WORDS, goal)
            case "material":
                return self.word(T.MATERIAL_WORDS, goal)
            case "count":
                return self.word(T.NUMBER_WORDS, goal)
            case "background":
                return self.word(T.BACKGROUND_WORDS, goal)
            case "add" | "move":
                return self.place(goal, things, to=edit.action == "move")
        return goal

    def place(self, goal: str, things: dict[str, Thing], to: bool) -> str:
        for relation, wordings in PLACES.items():
            if goal.startswith(relation + " "):
                anchor = "the " + self.name(things[goal.removeprefix(relation + " ")])
                return (wordings[0] if self.plain else self.rng.choice(wordings)).format(r=anchor)
        if self.plain:
            return f"to the {goal}" if to else f"at the {goal}"
        if goal == "center":
            return self.rng.choice(("to the center", "to the middle") if to else ("at the center", "in the middle"))
        forms = (
            ["to the {}", "to the {} corner", "into the {}"] if to else ["at the {}", "in the {} corner", "in the {}"]
        )
        if "middle" in goal or "center" in goal:
            forms = forms[:1]
        return self.rng.choice(forms).format(goal)

    # ---- clauses ----
    def clause(self, edit: Edit, things: dict[str, Thing], new: Thing | None = None, ref: str | None = None) -> str:
        """One edit in words. `new` is the thing that add and replace bring; `ref` overrides how the subject is called."""
        key = edit.action
        if key == "add" and edit.goal:
            key = "add_at"
        elif key == "text" and edit.subject != "image":
            key = "text_on"
        elif key in ("relight", "tone"):
            key = f"{key}:{edit.goal}"
        subject = ref or ("the " + self.name(things[edit.subject]) if edit.subject in things else "")
        brought = "a " + self.phrase(new) if new else ""
        return self.pick(T.CLAUSES[key]).format(s=subject, a=brought, g=self.goal(edit, things))

    def join(self, clauses: Sequence[str]) -> str:
        joins = T.DIRECT_JOINS if self.plain else T.JOINS
        text = clauses[0]
        for clause in clauses[1:]:
            text += self.pick_of(joins) + clause
        return text

    def pick_of(self, wordings: Sequence[str]) -> str:
        """Like `pick`, for wordings that are allowed to be empty and are not cut in plain mode."""
        return self.rng.choice([w for w in wordings if self.unseen or not w.startswith("!")]).removeprefix("!")

    def dress(self, text: str) -> str:
        """Politeness, fillers and small noise around a finished request; plain requests stay as they are."""
        rng = self.rng
        if self.plain:
            return text + ("." if rng.random() < 0.3 else "")
        openers = T.OPENERS if text.split(" ", 1)[0] not in NO_VERB else [o for o in T.OPENERS if o not in T.ASKING]
        text = self.pick_of(openers) + text + self.pick_of(T.CLOSERS)
        noise = rng.random()
        if noise < 0.08:
            text = text.replace("the ", "", 1)
        elif noise < 0.16:
            text = text.upper() if noise < 0.1 and "'" not in text else text[0].upper() + text[1:] + "."
        elif noise < 0.22:
            text += rng.choice(("!", "!!", " :)", " ..."))
        return text

    # ---- references that need the picture ----
    def refer(self, scene: Scene, thing: Thing) -> str | None:
        """A true description of `thing` that does not say its name, or None when the picture offers no unique one."""
        options = references(scene, thing)
        return self.rng.choice(options) if options else None


def references(scene: Scene, thing: Thing) -> list[str]:
    """Every description that fits `thing` and nothing else in the scene, without naming colour and shape together."""
    others = [t for t in scene.things if t is not thing]
    single = [t for t in others if t.count == 1]
    options: list[str] = []
    if all(t.shape != thing.shape for t in others):
        options.append(f"the {thing.shape}")
    if all(t.colour != thing.colour for t in others):
        options.append(f"the {thing.colour} one")
    if thing.shape in ROUND_SHAPES and all(t.shape not in ROUND_SHAPES for t in others):
        options.append("the round one")
    if thing.count == 1 and thing.size == "large" and others and all(t.size != "large" for t in single):
        options.append("the biggest thing")
    no_groups = others and len(single) == len(others)
    if thing.count == 1 and thing.size == "small" and no_groups and all(t.size != "small" for t in single):
        options.append("the smallest thing")
    if thing.material != "plain" and all(t.material != thing.material for t in others):
        options.append(f"the {thing.material} one")
    if thing.label:
        options.append(f"the one that says '{thing.label}'")
    if thing.count > 1 and all(t.count == 1 for t in others):
        options.append("the group")
    if others:
        row, col = thing.cell
        if all(t.cell[1] > col for t in others):
            options.append("the thing on the far left")
        if all(t.cell[1] < col for t in others):
            options.append("the thing on the far right")
        if all(t.cell[0] > row for t in others):
            options.append("the thing at the very top")
        if all(t.cell[0] < row for t in others):
            options.append("the thing at the very bottom")
    return options


def kinds_of(scene: Scene) -> dict[str, list[Thing]]:
    """Words that mean several things of the scene at once ('circle', 'red', 'striped') with the things they mean."""
    groups: dict[str, list[Thing]] = {}
    for thing in scene.things:
        for word in (thing.shape, thing.colour, thing.material):
            groups.setdefault(word, []).append(thing)
    return {
        w: ts for w, ts in groups.items() if len(ts) > 1 and (w in SHAPES or w in MATERIALS[1:] or w in T.COLOUR_WORDS)
    }
