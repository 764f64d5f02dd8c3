"""The gold triple of a turn of MICE-Bench (Edit-R2, arXiv 2606.05950), from its task type and formatted instruction.

Gold triples come from `task_type` and `formatted_instruction` (bracketed arguments, pronouns resolved, rule removed):

    subject_add          Add [o]                                     add(o, none)
                         Add [o] on the [left|right] of [ref]        add(o, "left of ref" | "right of ref")
                         Add [o] on the [above|below] of [ref]       add(o, "above ref" | "below ref")
    subject_remove       Remove [o]                                  remove(o, none)
    subject_replace      Replace [o] with [n]                        replace(o, n)
    color_alter          Change the color of [o] to [v]              recolor(o, v)
    material_alter       Change the material of [o] to [v]           material(o, v)
    text_change          Add text '[t]' on the image                 text("image", t)
                         Replace the text '[t]' on [o] with '[n]'    text(o, n); the old text is not part of the gold
    position_change      Change the position of [o] to [d] of [ref]  move(o, place as for add)
    count_change         Change the count of [o] to [n]              count(o, n)
    background_change    Change the background to [s]                background("background", s)
"""

from __future__ import annotations

import re

from benchmarks.base import RESERVED, Edit, says_no_goal
from benchmarks.goals import fault_of_edit
from common.errors import BadInput

_PLACES = {"left": "left of ", "right": "right of ", "above": "above ", "below": "below "}
_PATTERNS: dict[str, tuple[tuple[str, str], ...]] = {  # task type -> (kind, pattern), the more specific first
    "subject_add": (("add_at", r"Add \[(.*)\] on the \[(.*)\] of \[(.*)\]"), ("add", r"Add \[(.*)\]")),
    "subject_remove": (("remove", r"Remove \[(.*)\]"),),
    "subject_replace": (("replace", r"Replace \[(.*)\] with \[(.*)\]"),),
    "color_alter": (("recolor", r"Change the color of \[(.*)\] to \[(.*)\]"),),
    "material_alter": (("material", r"Change the material of \[(.*)\] to \[(.*)\]"),),
    "text_change": (
        ("caption", r"Add text '\[(.*)\]' on the image"),
        ("label", r"Replace the text '\[(.*)\]' on \[(.*)\] with '\[(.*)\]'"),
    ),
    "position_change": (("move", r"Change the position of \[(.*)\] to \[(.*)\] of \[(.*)\]"),),
    "count_change": (("count", r"Change the count of \[(.*)\] to \[(.*)\]"),),
    "background_change": (("background", r"Change the background to \[(.*)\]"),),
}
_COMPILED = {t: [(kind, re.compile(p, re.DOTALL)) for kind, p in pairs] for t, pairs in _PATTERNS.items()}

EMPTY, UNKNOWN_TASK, UNKNOWN_PLACE = "empty argument", "unknown task type", "unknown direction"
UNWRITABLE, NO_PATTERN = "cannot be written in the format", "no pattern fits"


class Unmapped(BadInput):
    """A turn that has no gold triple; `reason` is what it is counted under."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text[:120]!r}")
        self.reason = reason


def gold_edit(task_type: str, formatted: str) -> Edit:
    """The gold triple of one turn by the table above; raises `Unmapped` with the reason."""
    if task_type not in _COMPILED:
        raise Unmapped(UNKNOWN_TASK, task_type)
    text = formatted.strip()
    kind, match = next(((k, m) for k, p in _COMPILED[task_type] if (m := p.fullmatch(text))), ("", None))
    if match is None:
        raise Unmapped(NO_PATTERN, text)
    args = [" ".join(a.split()) for a in match.groups()]
    if kind == "label":
        args = args[1:]  # the text to be replaced may be empty or anything
    if "" in args:
        raise Unmapped(EMPTY, text)
    edit = _edit(kind, args, text)
    goal = edit.goal or ""
    if (goal and says_no_goal(goal)) or any(c in edit.subject + goal for c in RESERVED) or fault_of_edit(edit):
        raise Unmapped(UNWRITABLE, text)
    return edit


def _edit(kind: str, args: list[str], text: str) -> Edit:
    if kind in ("add_at", "move"):
        subject, direction, reference = args
        if direction.lower() not in _PLACES:
            raise Unmapped(UNKNOWN_PLACE, text)
        return Edit("add" if kind == "add_at" else "move", subject, _PLACES[direction.lower()] + reference)
    match kind, args:
        case "caption", [goal]:
            return Edit("text", "image", goal)
        case "background", [goal]:
            return Edit("background", "background", goal)
        case "label", [subject, goal]:
            return Edit("text", subject, goal)
        case _:  # remove has no goal, the others have one
            return Edit(kind, args[0], args[1] if len(args) > 1 else None)


__all__ = ["EMPTY", "NO_PATTERN", "Unmapped", "gold_edit"]
