"""The rule-based sequencer: from a decomposition to explicit sub-requests in an order that can be carried out.

Order: the given one as far as the dependencies below allow; then the background, light and tone, and the zoom last.
  * an object is edited before it is removed or replaced, and used as a place before it is moved, removed or replaced;
  * what is added, replaced or changed comes before what calls it by its new look;
  * a name is used for the given object before anything else gets that name.
No edit is ever split (a move is never a remove and an add). Edits that must see the same picture (swapping the colours of two
stars) stay together in one call.

Wording: in single execution every name is that of the given picture. In multi execution a name is how the object looks
when the call is made ("move the blue circle", after the red one became blue).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from agents.decomposer import clean_request
from agents.naming import Meaning, key, makes, reference, renamed, resolve, split_place
from benchmarks.base import Decomposition, Edit, EditSample, explicit_instruction
from benchmarks.goals import fault_of
from common.errors import BadInput

EXECUTIONS = ("single", "multi")
_RANK = {"background": 1, "relight": 2, "tone": 2, "zoom": 3}  # 0: everything local
_ENDS = ("remove", "replace")


@dataclass(frozen=True)
class Sequenced:
    """Sub-requests in order. `source` is who wrote them: "rules", "vlm", or "request" (the raw request, a fallback)."""

    sub_requests: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()


class Sequencer(Protocol):
    """Turns decompositions (None: malformed) into sub-requests, one result per sample, in order."""

    def sequence(
        self, samples: Sequence[EditSample], decompositions: Sequence[Decomposition | None], execution: str
    ) -> list[Sequenced]: ...


class RulesSequencer:
    """Deterministic; needs neither picture nor model."""

    def sequence(
        self, samples: Sequence[EditSample], decompositions: Sequence[Decomposition | None], execution: str
    ) -> list[Sequenced]:
        pairs = zip(samples, decompositions, strict=True)
        return [self.plan_sample(sample, decomposition, execution) for sample, decomposition in pairs]

    def plan_sample(self, sample: EditSample, decomposition: Decomposition | None, execution: str) -> Sequenced:
        """The plan for one sample, or its raw request as the only sub-request where there is nothing to plan from."""
        why = "the decomposition was malformed" if decomposition is None else fault_of(decomposition)
        if decomposition is None or why:
            return fallback(sample.request, why)
        return Sequenced(self.plan(decomposition, execution), "rules")

    def plan(self, decomposition: Decomposition, execution: str = "single") -> tuple[str, ...]:
        """Ordered sub-requests. In "multi" each is one call; in "single" all of them describe the given picture.

        Raises `BadInput` for a decomposition that cannot be carried out (`benchmarks.goals`), or for another execution.
        """
        calls = self.calls(decomposition, execution)
        if execution == "single":
            return tuple(explicit_instruction(edit) for edit in calls[0])
        return tuple("; ".join(explicit_instruction(edit) for edit in call) for call in calls)

    def calls(self, decomposition: Decomposition, execution: str) -> list[list[Edit]]:
        """The same plan as edits: one list for each call of the editor, named as the picture given to it looks."""
        if execution not in EXECUTIONS:
            raise BadInput(f"unknown execution {execution!r}; choose single or multi")
        if (why := fault_of(decomposition)) or decomposition.edits is None:
            raise BadInput(f"the decomposition cannot be carried out ({why}); use the request")
        edits = _without_idle(decomposition.edits)
        subjects, references = resolve(edits)
        calls = _calls(edits, subjects, references)
        if execution == "single":
            calls = [[i for call in calls for i in call]]
        named: list[list[Edit]] = []
        done: list[int] = []
        for call in calls:
            named.append([_named(edits, i, subjects, references, done) for i in call])
            done += call
        return named


def fallback(request: str, why: str) -> Sequenced:
    """The raw request as the only sub-request, cleaned as for a prompt (who gives it has cut it); `BadInput` where it is empty."""
    text, notes = clean_request(request, None)
    return Sequenced((text,), "request", (*notes, f"{why}: the raw request is used"))


def _without_idle(edits: Sequence[Edit]) -> list[Edit]:
    """The edits without exact repetitions (two equal adds are two objects), and without removing or replacing an object twice."""
    remaining: list[Edit] = []
    for edit in edits:
        repeated = edit.action != "add" and edit in remaining
        gone = edit.action in _ENDS and any(
            e.action in _ENDS and key(e.subject) == key(edit.subject) for e in remaining
        )
        back = any(key(makes(e)) == key(edit.subject) for e in remaining)  # made again in between
        if not repeated and (back or not gone):
            remaining.append(edit)
    return remaining


def _before(
    edits: Sequence[Edit], subjects: Sequence[Meaning | None], references: Sequence[Meaning | None]
) -> list[set[int]]:
    """For every edit the edits that must be done before it."""
    first: list[set[int]] = [set() for _ in edits]
    for v, edit in enumerate(edits):
        for meaning in (subjects[v], references[v]):
            if meaning is not None and meaning.thing.startswith("new:"):
                first[v].add(int(meaning.thing[4:]))
            if meaning is not None and meaning.since is not None:
                first[v].add(meaning.since)
        gets = {key(makes(edit)), key(renamed(edit.subject, edit)) if subjects[v] else ""} - {"", key(edit.subject)}
        if edit.action == "add":
            gets = {key(edit.subject)}
        for u, other in enumerate(edits):
            if u == v:
                continue
            subject, place = subjects[u], references[u]
            if subjects[v] is not None:
                ends = edit.action in _ENDS and other.action not in _ENDS and _same(subject, subjects[v])
                if ends or (edit.action in (*_ENDS, "move") and _same(place, subjects[v])):
                    first[v].add(u)
            # `u` calls a given object by the name that `v` is about to give to something else
            for meaning, name in ((subject, key(other.subject)), (place, key(reference(other)))):
                if meaning is not None and meaning.thing == f"given:{name}" and name in gets:
                    first[v].add(u)
    return [needed - {v} for v, needed in enumerate(first)]


def _same(one: Meaning | None, other: Meaning | None) -> bool:
    return one is not None and other is not None and one.thing == other.thing


def _calls(
    edits: Sequence[Edit], subjects: Sequence[Meaning | None], references: Sequence[Meaning | None]
) -> list[list[int]]:
    """Indices in order, in groups; edits that depend on each other in a cycle share a group, and so one call."""
    first = _before(edits, subjects, references)
    reach = [_reachable(first, i) for i in range(len(edits))]
    groups: list[list[int]] = []
    left = sorted(range(len(edits)), key=lambda i: (_RANK.get(edits[i].action, 0), i))
    done: set[int] = set()
    while left:
        ready = next(i for i in left if all(j in done or i in reach[j] for j in reach[i]))
        ring = [ready, *(j for j in left if j != ready and j in reach[ready] and ready in reach[j])]
        groups.append(sorted(ring))
        done.update(ring)
        left = [i for i in left if i not in done]
    return groups


def _reachable(first: Sequence[set[int]], start: int) -> set[int]:
    seen: set[int] = set()
    stack = list(first[start])
    while stack:
        at = stack.pop()
        if at not in seen:
            seen.add(at)
            stack.extend(first[at])
    return seen


def _named(
    edits: Sequence[Edit],
    i: int,
    subjects: Sequence[Meaning | None],
    references: Sequence[Meaning | None],
    done: Sequence[int],
) -> Edit:
    """Edit `i` with its names as things look after the edits `done`."""
    edit = edits[i]
    if (subject := subjects[i]) is not None:
        edit = replace(edit, subject=_name_now(edits, edit.subject, subject, subjects, done))
    if (place := references[i]) is not None:
        relation, name = split_place(edit.goal)
        edit = replace(edit, goal=relation + _name_now(edits, name, place, subjects, done))
    return edit


def _name_now(
    edits: Sequence[Edit], name: str, meaning: Meaning, subjects: Sequence[Meaning | None], done: Sequence[int]
) -> str:
    since = meaning.since
    while since is not None and since not in done:  # the new look is not there yet: go back to an earlier one
        name, origin = edits[since].subject, subjects[since]
        since = origin.since if origin is not None else None
    changes = [j for j in done if subjects[j] is not None and _same(subjects[j], meaning)]
    for j in changes[changes.index(since) + 1 if since in changes else 0 :]:
        name = renamed(name, edits[j])
    return name


__all__ = ["EXECUTIONS", "RulesSequencer", "Sequenced", "Sequencer", "fallback"]
