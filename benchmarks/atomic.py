"""Complex-Edit's atomic instructions as triples, where their wording has only one reading.

A sequence is the gold of its compound instruction only if every step is read and no step is about something that an
earlier one brought in: "Add a moon." and "Change the color of the moon to red." become "Add a red moon" in the compound,
which is one edit, not two. Everything else is left to a labeller, or left out. Patterns are whole sentences; an argument
that could end elsewhere (a comma, "and", a second "with" or "to") is not read.
"""

from __future__ import annotations

import re

from benchmarks.base import Edit
from benchmarks.labels import check_writable
from common.errors import BadInput

_A = r"(?:(?:the|a|an|some)\s+)?"
_X = r"(?P<x>.+?)"
_Y = r"(?P<y>.+?)"
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (action, re.compile(pattern, re.IGNORECASE))
    for action, pattern in (
        ("background", rf"(?:change|replace)\s+the\s+background\s+(?:to|with)\s+{_A}{_Y}"),
        ("recolor", rf"change\s+the\s+colou?r\s+of\s+{_A}{_X}\s+to\s+{_A}{_Y}"),
        ("recolor", rf"change\s+{_A}{_X}(?:['’]s)?\s+colou?r\s+to\s+{_A}{_Y}"),
        ("material", rf"change\s+the\s+material\s+of\s+{_A}{_X}\s+to\s+{_A}{_Y}"),
        ("replace", rf"replace\s+{_A}{_X}\s+with\s+{_A}{_Y}"),
        ("text", r"add\s+(?:the\s+|a\s+)?text\s+(?:saying\s+|reading\s+)?(?P<q>['\"“‘])(?P<y>[^'\"”’]+)['\"”’]"),
        ("remove", rf"remove\s+{_A}{_X}(?:\s+from\s+the\s+(?:image|picture|photo|scene))?"),
        ("add", rf"add\s+{_A}{_X}"),
    )
)
# A word that may begin another edit, a place or a condition: where the argument ends is then a guess.
_OPEN = re.compile(r"[,;:<(]|\b(?:and|or|but|then|while|so|with|to|into|by|using|as|both|all|each)\b", re.IGNORECASE)
_PLACE = re.compile(
    r"\b(?:in|on|at|near|next|beside|behind|above|below|over|under|around|across|from|for|inside|between|along|through|"
    r"onto|against|beneath|beyond|towards?|throughout|within|outside|off|up|down|of)\b",
    re.IGNORECASE,
)
_SMALL = frozenset({"a", "an", "the", "of", "in", "on", "with", "and", "its", "his", "her", "their", "some", "new"})
NO_SEQUENCE, NOT_READ, ABOUT_EARLIER = (
    "no sequence",
    "a step that can be read in several ways",
    "a step about an earlier",
)


def read_step(instruction: str) -> Edit | None:
    """The triple of one atomic instruction, None where its words leave more than one reading."""
    text = " ".join(instruction.split()).rstrip(".").strip()
    for action, pattern in _PATTERNS:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        groups = match.groupdict()
        x, y = groups.get("x") or "", groups.get("y") or ""
        if action == "text":
            edit = Edit("text", "image", y.strip())
        elif _OPEN.search(x) or _OPEN.search(y):
            return None
        elif action == "background":
            edit = Edit("background", "background", y)
        elif action == "add":
            if _PLACE.search(x) or x.casefold().startswith("text"):
                return None  # where the thing ends and its place begins would be a guess
            edit = Edit("add", x)
        elif action == "remove":
            edit = Edit("remove", x)
        else:
            edit = Edit(action, x, y)
        try:
            check_writable(edit)
        except BadInput:
            return None
        return edit
    return None


def read_sequence(steps: tuple[str, ...]) -> tuple[tuple[Edit, ...] | None, str]:
    """The triples of a whole sequence and "", or None and the reason."""
    if not steps:
        return None, NO_SEQUENCE
    edits = [read_step(s) for s in steps]
    read = [e for e in edits if e is not None]
    if len(read) < len(steps):
        return None, NOT_READ
    brought: set[str] = set()
    for edit in read:
        if _words(edit.subject) & brought:
            return None, ABOUT_EARLIER
        brought |= _words(edit.subject if edit.action == "add" else edit.goal or "")
        if edit.action != "add":
            brought |= _words(edit.subject)  # two steps on one thing are said as one in the compound
    return tuple(read), ""


def _words(text: str) -> set[str]:
    return {w.rstrip("s") for w in re.findall(r"\w+", text.casefold())} - _SMALL


__all__ = ["ABOUT_EARLIER", "NOT_READ", "NO_SEQUENCE", "read_sequence", "read_step"]
