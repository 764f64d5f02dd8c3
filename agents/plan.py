"""A decomposition as text: what the decomposer writes and how it is read back; and the plan made from it.

The format (tags of ImageEdit-R1, arXiv 2603.08059; the goal tag and the `;` lists are this project's choice):

    <think>…</think><action>recolor; remove</action><subject>red star; blue moon</subject><goal>green; none</goal>

The i-th items of the three lists belong together; an absent goal is the word none, in any case. What cannot be carried out
(lists of different lengths, a goal missing or too many by `benchmarks.goals`) is malformed too: a project choice. The reader
is strict (nothing is repaired) and total (any string gives a `Decomposition` or a `MalformedDecomposition`); the writer
refuses what the reader could not read back unchanged.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from benchmarks.base import NO_GOAL, RESERVED, SEPARATORS, Decomposition, says_no_goal
from benchmarks.goals import fault_of
from common.errors import BadInput

TAGS = ("think", "action", "subject", "goal")
_ANY_TAG = re.compile(r"</?(?:think|action|subject|goal)>")
_SEPARATOR = re.compile(f"[{re.escape(SEPARATORS)}]")
_EXPECTED = tuple(mark for tag in TAGS for mark in (f"<{tag}>", f"</{tag}>"))


class MalformedDecomposition(BadInput):
    """A text that is not exactly one decomposition in the agreed format; the message says what is wrong."""


def parse_decomposition(text: str) -> Decomposition:
    """Read `text`, or raise `MalformedDecomposition`; what is read can be carried out (`benchmarks.goals.fault_of`).

    White space may stand around and between the tags and around items.
    """
    marks = list(_ANY_TAG.finditer(text))
    _check_order([m.group() for m in marks])
    _check_outside(text, marks)
    think, action, subject, goal = (text[marks[i].end() : marks[i + 1].start()] for i in range(0, 8, 2))
    goals = tuple(None if says_no_goal(g) else g for g in _items("goal", goal))
    result = Decomposition(_items("action", action), _items("subject", subject), goals, think)
    if why := fault_of(result):
        raise MalformedDecomposition(f"it cannot be carried out: {why}")
    return result


def write_decomposition(decomposition: Decomposition) -> str:
    """The text of `decomposition`, such that `parse_decomposition` gives back exactly the same; else `BadInput`."""
    if not decomposition.actions or not decomposition.subjects:
        raise BadInput("a decomposition needs at least one action and one subject; this one has none to write")
    if why := fault_of(decomposition):
        raise BadInput(f"this decomposition cannot be carried out: {why}; correct the edit or leave it out")
    if _ANY_TAG.search(decomposition.think):
        raise BadInput(f"the thought {decomposition.think[:60]!r} contains a tag of the format; take the tag out")
    goals = tuple(NO_GOAL if g is None else _writable_goal(g) for g in decomposition.goals)
    lists = (decomposition.actions, decomposition.subjects, goals)
    body = "".join(
        f"<{tag}>{'; '.join(_writable(tag, item) for item in items)}</{tag}>"
        for tag, items in zip(TAGS[1:], lists, strict=True)
    )
    return f"<think>{decomposition.think}</think>{body}"


@dataclass(frozen=True)
class EditPlan:
    """What the editor will be asked to do: the decomposition (None where it was malformed) and the ordered requests."""

    decomposition: Decomposition | None
    sub_requests: tuple[str, ...]

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives back an equal plan."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> EditPlan:
        """Read what `to_json` wrote; anything else is `BadInput`."""
        try:
            raw = json.loads(text)
            parts = raw["decomposition"]
            decomposition = None if parts is None else decomposition_from_dict(parts)
            subs = raw["sub_requests"]
            if not isinstance(subs, list) or not all(isinstance(s, str) for s in subs):
                raise TypeError("sub_requests must be a list of strings")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadInput(f"not an edit plan in JSON ({error}); expected what EditPlan.to_json writes") from error
        return cls(decomposition, tuple(subs))


def decomposition_from_dict(raw: dict[str, object]) -> Decomposition:
    """The decomposition behind `dataclasses.asdict`; `TypeError` or `KeyError` where `raw` is something else."""
    lists = {name: raw[name] for name in ("actions", "subjects", "goals")}
    for name, items in lists.items():
        good = (str, type(None)) if name == "goals" else str
        if not isinstance(items, list | tuple) or not all(isinstance(i, good) for i in items):
            raise TypeError(f"{name} must be a list of strings, not {items!r}")
    think = raw["think"]
    if not isinstance(think, str):
        raise TypeError(f"think must be a string, not {think!r}")
    return Decomposition(*(tuple(items) for items in lists.values()), think=think)  # type: ignore[arg-type, misc]


def _check_order(marks: list[str]) -> None:
    for mark in _EXPECTED:
        if marks.count(mark) != 1:
            raise MalformedDecomposition(f"{mark} stands {marks.count(mark)} times, expected once")
    for want, got in zip(_EXPECTED, marks, strict=True):
        if want != got:
            raise MalformedDecomposition(f"{got} stands where {want} was expected; the order is {' '.join(_EXPECTED)}")


def _check_outside(text: str, marks: list[re.Match[str]]) -> None:
    """Nothing but white space before the first tag, between a closing and the next opening one, after the last."""
    edges = [0, *(m.start() if i % 2 == 0 else m.end() for i, m in enumerate(marks)), len(text)]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if outside := text[start:end].strip():
            raise MalformedDecomposition(f"text outside the tags: {outside[:60]!r}")


def _items(tag: str, content: str) -> tuple[str, ...]:
    if "<" in content:
        raise MalformedDecomposition(f"<{tag}> contains '<'; items are plain text split by ';'")
    if not content.strip():
        instead = f" ({NO_GOAL!r} where there is no goal)" if tag == "goal" else ""
        raise MalformedDecomposition(f"<{tag}> is empty; expected at least one item{instead}")
    items = tuple(item.strip() for item in _SEPARATOR.split(content))
    if "" in items:
        raise MalformedDecomposition(f"item {items.index('') + 1} of <{tag}> is empty")
    return items


def _writable_goal(item: str) -> str:
    if item.strip() and says_no_goal(item):
        raise BadInput(f"the goal {item!r} cannot be written: the word stands for an absent goal; use None")
    return item


def _writable(tag: str, item: str) -> str:
    if not item.strip():
        raise BadInput(f"an item of <{tag}> is empty; leave it out")
    if item != item.strip():
        raise BadInput(f"the item {item!r} of <{tag}> has white space around it, which would be lost; strip it first")
    if bad := [c for c in RESERVED if c in item]:
        raise BadInput(f"the item {item!r} of <{tag}> contains {bad[0]!r}, which the format cannot hold")
    return item


__all__ = [
    "TAGS",
    "EditPlan",
    "MalformedDecomposition",
    "decomposition_from_dict",
    "parse_decomposition",
    "write_decomposition",
]
