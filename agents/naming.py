"""Names of objects while a plan is carried out: which object a name refers to, and its name after a change.

Names refer to the picture that was given. An object that an edit adds or changes may also be called by its new look.
Where a name could mean both (no picture is looked at here), names are assumed to be unique within a picture, and no edit
is assumed to undo another one: "make the red star blue and the blue star red" refers to two stars of the given picture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.base import GLOBAL_ACTIONS, Edit
from benchmarks.sandbox.scene import COLOURS, MATERIALS, RELATIONS

WHOLE = ("image", "background", "")  # subjects that are no objects
_MORE_COLOURS = """
    grey silver gold golden beige peach turquoise teal navy maroon magenta violet indigo lavender ivory cream tan
    khaki olive lime coral salmon burgundy crimson scarlet bronze copper blonde
"""
_MORE_MATERIALS = """
    metal wood wooden plastic glass stone leather cotton denim wool silk fabric rubber ceramic paper concrete brick
    marble vinyl synthetic velvet linen steel aluminum iron porcelain clay straw fur
"""


def _span(words: Sequence[str], modifiers: str = "") -> re.Pattern[str]:
    """One such word, or several joined ("red and white"), with what follows kept: the last word is never taken."""
    one = rf"{modifiers}(?:{'|'.join(sorted(words, key=len, reverse=True))})"
    return re.compile(rf"\b{one}(?:(?: and |/|-| ){one})*(?=\s+\S)", re.IGNORECASE)


_LOOK = {
    "recolor": _span([*COLOURS, *_MORE_COLOURS.split()], r"(?:(?:light|dark|bright|pale|deep) )?"),
    "material": _span([m for m in MATERIALS if m != "plain"] + _MORE_MATERIALS.split()),
}


def key(name: str) -> str:
    """The form in which names are compared: without case, extra white space and a leading article."""
    return re.sub(r"^(?:the|a|an) (?=\S)", "", " ".join(name.lower().split()))


def split_place(goal: str | None) -> tuple[str, str]:
    """("left of ", "red star") of "left of red star"; (goal, "") of a place that names no object."""
    for relation in RELATIONS:
        if goal and goal.startswith(relation + " "):
            return relation + " ", goal.removeprefix(relation + " ")
    return goal or "", ""


def reference(edit: Edit) -> str:
    """The object that an add or a move takes its place from, or ""."""
    return split_place(edit.goal)[1] if edit.action in ("add", "move") else ""


def renamed(name: str, edit: Edit) -> str:
    """What `name` is called once `edit` was done to it: "red star" recoloured to blue is "blue star"."""
    if edit.action not in _LOOK or not edit.goal:
        return name
    goal = edit.goal
    return _LOOK[edit.action].sub(lambda _: goal, name, count=1)


def vacates(edit: Edit) -> bool:
    """Whether after `edit` nothing is called by its subject's name any more."""
    return edit.action in ("remove", "replace") or key(renamed(edit.subject, edit)) != key(edit.subject)


@dataclass(frozen=True)
class Meaning:
    """Object `thing` (an id), called by its look after edit `since` (an index), or by its first look where None."""

    thing: str
    since: int | None = None


def resolve(edits: Sequence[Edit]) -> tuple[list[Meaning | None], list[Meaning | None]]:
    """What each edit's subject and each edit's reference mean; None for the whole picture or no reference.

    An object's id is "given:<name>" where it stands in the given picture, "new:<index>" where edit <index> makes it.
    """
    subjects: list[Meaning | None] = []
    references: list[Meaning | None] = []
    for i, edit in enumerate(edits):
        subject = None
        if edit.action not in ("add", *GLOBAL_ACTIONS) and key(edit.subject) not in WHOLE:
            subject = _meaning(edits, i, edit.subject, edit, subjects)
        subjects.append(subject)
        name = reference(edit)
        references.append(_meaning(edits, i, name, None, subjects) if name else None)
    return subjects, references


def makes(edit: Edit) -> str:
    """The phrase of the object that an add or a replace brings into the picture, or ""."""
    return edit.subject if edit.action == "add" else (edit.goal or "") if edit.action == "replace" else ""


def _meaning(
    edits: Sequence[Edit], i: int, name: str, done: Edit | None, subjects: Sequence[Meaning | None]
) -> Meaning:
    """What `name` means in edit `i`; `done` is what that edit does to it, None where it is only a place."""
    name_key = key(name)
    given = Meaning(f"given:{name_key}")
    for j in range(i - 1, -1, -1):  # the latest change that gave something this name
        edit = edits[j]
        if done is not None and _idle(done, edit):
            continue
        if _fits(name_key, makes(edit)):
            return given if _spoken_of_before(edits, j, name_key) else Meaning(f"new:{j}")
        look = {key(renamed(edit.subject, edit))}
        if edit.action in _LOOK and edit.goal:
            look.add(key(f"{edit.goal} {edit.subject}"))
        origin = subjects[j] if j < len(subjects) else None
        if origin is not None and name_key in look - {key(edit.subject)}:
            return given if _spoken_of_before(edits, j, name_key) else Meaning(origin.thing, j)
    # An object spoken of before it is made: were it in the given picture, two of one name would stand there later.
    if done is None or not vacates(done):
        for j in range(i + 1, len(edits)):
            made = makes(edits[j])
            if name_key == key(made) or (" " in name_key and _fits(name_key, made)):
                return Meaning(f"new:{j}")
    return given


def _fits(name_key: str, phrase: str) -> bool:
    """Whether a name may mean a new object: "red circle" fits "small striped red circle"; the last words must agree."""
    words, name_words = key(phrase).split(), name_key.split()
    return bool(words) and words[-1] == name_words[-1] and set(name_words) <= set(words)


def _spoken_of_before(edits: Sequence[Edit], j: int, name_key: str) -> bool:
    """Whether an edit up to `j` already used the name, so that the given picture has such an object."""
    earlier = edits[: j + 1]
    named = {key(e.subject) for e in earlier if e.action != "add"} | {key(reference(e)) for e in earlier}
    return name_key in named


def _idle(after: Edit, change: Edit) -> bool:
    """Whether doing `after` to what `change` just made would undo `change`, which no request means."""
    return after.action == change.action or after.action in ("remove", "replace")


__all__ = ["WHOLE", "Meaning", "key", "makes", "reference", "renamed", "resolve", "split_place", "vacates"]
