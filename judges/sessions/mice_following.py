"""IF of MICE-Bench: whether a turn's own edit was made, by boxes and a question (Edit-R2, arXiv 2606.05950).

Every task asks two things, of which either may be missing, and IF is 1 where both hold: something of the boxes of named objects
in the picture before and the result, and something of a model's answer.

    task        boxes (threshold .3 where none is given)                                        answer
    add         found after; with a direction: more than .03 beyond the reference, found before    yes: it was added
    remove      found before, and after not found or elsewhere (IoU < .2); .35, no box > .98       -
    replace     old one before and new one after overlap                                            yes: it was replaced
    color       -                                                                                  yes: it is now so
    material    -                                                                                  yes: it is now of it
    text        with an object: the object is found before                                         the text is read
    position    as many of both as before, the first box on the named side; .4                     -
    count       found before, and after as many as asked for                                       -
    background  what is to remain is found after, not as large as the picture; .25                 yes: it is shown

The rules, thresholds and quirks are those of the published scorer (yuxiaooye/Edit-R2@1c549f1); the prompts say the same in our
own words (judges/prompts/mice_followed_*.txt). Its quirks that are kept:

* an instruction that it cannot read (an empty text, for instance) scores 0, and so does a count that is no number in digits;
* an answer holds where it has "yes" anywhere; a text is read where the answer has it as a part, upper and lower case alike;
* of "replace", the names lose a plural's "es" or "s" by their letters alone ("glass" is looked for as "glas");
* the lasting rule of a CM session is nowhere in it.

What differs: a call that fails makes the turn's verdict invalid (there it counts as "no", or as .5 for the whole batch); the
detector and the model are shown the pictures themselves (there, JPEG files of them); no question is asked where the boxes
have decided already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from PIL import Image

from judges.sessions import mice_instruction as tasks
from judges.sessions.detector import Look
from judges.sessions.mice_boxes import Found, count_distinct, is_gone, is_moved, lies_beyond, remains, takes_its_place
from judges.sessions.mice_instruction import parse_instruction
from judges.sessions.mice_turn import Turn

USUAL, REMOVED, MOVED, REMAINING = 0.3, 0.35, 0.4, 0.25  # thresholds of the detector
BEFORE, AFTER = "before", "after"
PROMPTS: Mapping[str, tuple[str, ...]] = {
    "mice_followed_add": ("instruction",),
    "mice_followed_replace": ("instruction",),
    "mice_followed_color": ("object", "value"),
    "mice_followed_material": ("object", "value"),
    "mice_followed_text": (),
    "mice_followed_background": ("background",),
}
Boxes = Mapping[str, Found]  # by role


@dataclass(frozen=True)
class Sought:
    """A name that is looked for in the picture before or in the result."""

    when: str
    name: str
    threshold: float = USUAL


@dataclass(frozen=True)
class Asked:
    """A question: its prompt and fields, and the pictures that are shown before it."""

    prompt: str
    fields: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[str, ...] = (BEFORE, AFTER)


@dataclass(frozen=True)
class Check:
    """What one turn has to meet. `why_not` gives "" where the boxes do, else why they do not."""

    sought: Mapping[str, Sought] = field(default_factory=dict)
    why_not: Callable[[Boxes], str] = lambda boxes: ""
    asked: Asked | None = None
    holds: Callable[[str], bool] = lambda answer: True

    def looks(self, turn: Turn) -> dict[str, Look]:
        pictures = pictures_of(turn)
        return {role: Look(pictures[s.when], (s.name,), s.threshold, s.threshold) for role, s in self.sought.items()}


def pictures_of(turn: Turn) -> dict[str, Image.Image]:
    return {BEFORE: turn.before, AFTER: turn.after}


def says_yes(answer: str) -> bool:
    return "yes" in answer.lower()


def check_of(task_type: str, formatted: str) -> Check | str:
    """What a turn has to meet, or why it scores 0 whatever the picture shows."""
    arguments = parse_instruction(task_type, formatted)
    if arguments is None:
        known = task_type in tasks.TASKS
        return f"the instruction cannot be read as {task_type}" if known else f"unknown task {task_type!r}"
    match task_type:
        case tasks.ADD:
            return _add(formatted, *arguments)
        case tasks.REMOVE:
            return _remove(*arguments)
        case tasks.REPLACE:
            return _replace(formatted, *arguments)
        case tasks.COLOR | tasks.MATERIAL:
            prompt = "mice_followed_color" if task_type == tasks.COLOR else "mice_followed_material"
            obj, value = arguments
            return Check(asked=Asked(prompt, {"object": obj, "value": value}), holds=says_yes)
        case tasks.TEXT:
            return _text(*arguments)
        case tasks.POSITION:
            return _position(*arguments)
        case tasks.COUNT:
            return _count(*arguments)
        case _:
            return _background(*arguments)


def _add(formatted: str, obj: str, direction: str = "", reference: str = "") -> Check:
    asked = Asked("mice_followed_add", {"instruction": formatted})
    sought = {"object": Sought(AFTER, obj)}
    if not reference:
        return Check(sought, lambda boxes: "" if boxes["object"] else f"no {obj} is found after", asked, says_yes)

    def why_not(boxes: Boxes) -> str:
        if not boxes["object"] or not boxes["reference"]:
            return f"no {reference} is found before" if boxes["object"] else f"no {obj} is found after"
        beyond = lies_beyond(boxes["object"], direction, boxes["reference"])
        return "" if beyond else f"no {obj} lies {direction} of a {reference}"

    return Check({**sought, "reference": Sought(BEFORE, reference)}, why_not, asked, says_yes)


def _remove(obj: str) -> Check:
    sought = {when: Sought(when, obj, REMOVED) for when in (BEFORE, AFTER)}
    return Check(sought, lambda boxes: is_gone(boxes[BEFORE], boxes[AFTER]))


def _replace(formatted: str, old: str, new: str) -> Check:
    sought = {"old": Sought(BEFORE, without_plural(old)), "new": Sought(AFTER, without_plural(new))}
    asked = Asked("mice_followed_replace", {"instruction": formatted})
    return Check(sought, lambda boxes: takes_its_place(boxes["old"], boxes["new"]), asked, says_yes)


def _text(*arguments: str) -> Check:
    wanted = arguments[-1].lower()
    asked = Asked("mice_followed_text", pictures=(AFTER,))

    def is_read(answer: str) -> bool:
        return wanted in answer.strip().lower()

    if len(arguments) == 1:
        return Check(asked=asked, holds=is_read)
    obj = arguments[1]
    sought = {"object": Sought(BEFORE, obj)}
    return Check(sought, lambda boxes: "" if boxes["object"] else f"no {obj} is found before", asked, is_read)


def _position(obj: str, direction: str, reference: str) -> Check:
    names = {"object": obj, "reference": reference}
    sought = {f"{role} {when}": Sought(when, n, MOVED) for role, n in names.items() for when in (BEFORE, AFTER)}

    def why_not(boxes: Boxes) -> str:
        moved, still = ((boxes[f"{role} {BEFORE}"], boxes[f"{role} {AFTER}"]) for role in names)
        return is_moved(moved, direction, still)

    return Check(sought, why_not)


def _count(obj: str, number: str) -> Check | str:
    try:
        wanted = int(number)
    except ValueError:
        return f"the count {number!r} is no number in digits"

    def why_not(boxes: Boxes) -> str:
        there = count_distinct(boxes[AFTER].boxes)
        if not boxes[BEFORE]:
            return f"no {obj} is found before"
        return "" if there == wanted else f"{there} instead of {wanted} are found after"

    return Check({when: Sought(when, obj) for when in (BEFORE, AFTER)}, why_not)


def _background(background: str, *remaining: str) -> Check:
    sought = {name: Sought(AFTER, name, REMAINING) for name in remaining}

    def why_not(boxes: Boxes) -> str:
        return next((f"no {name} is found after" for name in remaining if not remains(boxes[name])), "")

    asked = Asked("mice_followed_background", {"background": background}, (AFTER,))
    return Check(sought, why_not, asked, says_yes)


def without_plural(name: str) -> str:
    """By the letters alone, as published: "boxes" to "box", "cats" to "cat", but "glass" to "glas"."""
    return name[:-2] if name.endswith("es") else name[:-1] if name.endswith("s") else name


__all__ = ["AFTER", "BEFORE", "PROMPTS", "Asked", "Check", "check_of", "pictures_of", "says_yes", "without_plural"]
