"""Edits, decompositions, samples and sessions: the data types that all folders share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from PIL import Image

from benchmarks.wording import normalise

# One vocabulary for the sandbox, MICE-Bench (nine task types) and PSR (global photo edits).
ACTIONS = (
    "add",
    "remove",
    "replace",
    "recolor",
    "material",
    "text",
    "move",
    "count",
    "background",
    "relight",
    "tone",
    "zoom",
)
GLOBAL_ACTIONS = ("background", "relight", "tone", "zoom")  # they touch the whole picture
NO_GOAL = "none"  # how an absent goal is written; it is no element of the goal set
# other words for it, which people and models write, as `normalise` has them; "n/a" in all its forms is one more. "NA" is none:
# it may well be the text that is asked for
NO_GOAL_WORDS = frozenset({NO_GOAL, "null", "nil", "not applicable", "no goal"})
_NOT_APPLICABLE = re.compile(r"\W*n\s*[/.\\]\s*a\W*")
_DASHES = re.compile(r"[\s_\-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]*")
SEPARATORS = ";；؛﹔︔\u037e"  # between the items of a list: the semicolon, full-width and of other scripts
RESERVED = SEPARATORS + "<"  # what no item of a decomposition may contain


@dataclass(frozen=True)
class Edit:
    """One atomic edit. `subject` names what is touched as it looks in the given picture; `goal` may be absent."""

    action: str
    subject: str
    goal: str | None = None


def says_no_goal(goal: str | None) -> bool:
    """Whether this stands for an absent goal: None, nothing but white space or dashes, "n/a", or one of NO_GOAL_WORDS in any case
    and punctuation. For every action alike: a picture cannot be given the text "none" either."""
    if goal is None or _DASHES.fullmatch(goal):
        return True
    return normalise(goal) in NO_GOAL_WORDS or _NOT_APPLICABLE.fullmatch(goal.casefold()) is not None


@dataclass(frozen=True)
class Decomposition:
    """Three lists whose i-th items belong together. Lists of different lengths can be held, but not carried out."""

    actions: tuple[str, ...]
    subjects: tuple[str, ...]
    goals: tuple[str | None, ...]
    think: str = ""

    @classmethod
    def of(cls, edits: Iterable[Edit], think: str = "") -> Decomposition:
        edits = tuple(edits)
        return cls(
            tuple(e.action for e in edits),
            tuple(e.subject for e in edits),
            tuple(e.goal for e in edits),
            think,
        )

    @property
    def edits(self) -> tuple[Edit, ...] | None:
        """The linked triples, or None where the three counts differ."""
        if not len(self.actions) == len(self.subjects) == len(self.goals):
            return None
        return tuple(Edit(*t) for t in zip(self.actions, self.subjects, self.goals, strict=True))


@dataclass(frozen=True)
class EditSample:
    """One request with its picture. `history` holds the earlier instructions of a session, oldest first."""

    id: str
    request: str
    gold: tuple[Edit, ...]
    kind: str = ""  # direct | paraphrased | indirect | multi_step in the sandbox; cm | cu in MICE
    history: tuple[str, ...] = ()
    picture: Image.Image | None = field(default=None, compare=False, repr=False)

    @property
    def image(self) -> Image.Image | None:
        """The picture to edit (RGB), or None for text-only benchmarks."""
        return self.picture


@dataclass(frozen=True)
class EditSession:
    """Several turns on one picture; turn k's `history` is the requests of turns 0..k-1."""

    id: str
    turns: tuple[EditSample, ...]
    rule: str | None = None  # a rule said once in turn 1 that holds for all later turns


def explicit_instruction(edit: Edit) -> str:
    """The plainest English for one edit: what the sequencer's rules write and every editor is expected to follow.

    An absent goal is left out of the sentence ("change the color of the star"); its placeholder is never written. Whether
    the action can be carried out without one is for `benchmarks.goals` to say.
    """
    if says_no_goal(edit.goal):
        return _without_goal(edit)
    s, g = edit.subject, edit.goal or ""
    the = _the(s)
    match edit.action:
        case "add":
            return f"add a {s} {_place(g)}"
        case "remove":
            return f"remove {the}"
        case "replace":
            return f"replace {the} with a {g}"
        case "recolor":
            return f"change the color of {the} to {g}"
        case "material":
            return f"change the material of {the} to {g}"
        case "text":
            return f"add the text '{g}' to the image" if s == "image" else f"change the text on {the} to '{g}'"
        case "move":
            return f"move {the} {_place(g, to=True)}"
        case "count":
            return f"change the count of {the} to {g}"
        case "background":
            return f"change the background to {g}"
        case "relight" | "tone":
            return f"make the image {g}"
        case "zoom":
            return f"zoom in on the {g}"
        case _:  # a model may invent an action; say it as it stands and let the editor decide
            return " ".join(w for w in (edit.action, the, "to", g) if w)


def _without_goal(edit: Edit) -> str:
    the = _the(edit.subject)
    match edit.action:
        case "add":
            return f"add a {edit.subject}"
        case "recolor":
            return f"change the color of {the}"
        case "material":
            return f"change the material of {the}"
        case "text":
            return "add a text to the image" if edit.subject == "image" else f"change the text on {the}"
        case "count":
            return f"change the count of {the}"
        case "background":
            return "change the background"
        case "relight":
            return "change the light of the image"
        case "tone":
            return "change the tone of the image"
        case "zoom":
            return "zoom in"
        case _:  # remove, replace, move, and what a model invents
            return f"{edit.action} {the}".strip()


def _the(subject: str) -> str:
    return subject if subject in ("image", "background") else f"the {subject}"


def _place(goal: str, to: bool = False) -> str:
    """'top left' -> 'at the top left'; 'left of red star' -> 'to the left of the red star'; 'above x' -> 'above the x'."""
    for side in ("left of ", "right of "):
        if goal.startswith(side):
            return f"to the {side}the {goal.removeprefix(side)}"
    for side in ("above ", "below "):
        if goal.startswith(side):
            return f"{side}the {goal.removeprefix(side)}"
    return f"to the {goal}" if to else f"at the {goal}"


__all__ = [
    "ACTIONS",
    "GLOBAL_ACTIONS",
    "NO_GOAL",
    "NO_GOAL_WORDS",
    "RESERVED",
    "SEPARATORS",
    "Decomposition",
    "Edit",
    "EditSample",
    "EditSession",
    "explicit_instruction",
    "says_no_goal",
]
