"""What a turn of MICE-Bench's text means by itself (Edit-R2, arXiv 2606.05950), and whether an instruction says it.

The published `formatted_instruction` has pronouns resolved and leaves the lasting rule out. An intent says both: the edit, and in
sessions with a rule what the rule does to the thing that is edited. Removals are exempt from it, as for MICE's own judge.
"""

from __future__ import annotations

import re

from benchmarks.base import EditSample, explicit_instruction
from benchmarks.mice_records import rule_of
from benchmarks.wording import normalise

# "peach color must be applied", "should receive pink color", "apply fabric material only": one or a few words before the kind
_VALUE = re.compile(r"(?i)(?:edits:|receive|given|apply|use|using|in)\s+((?:[\w-]+\s+){1,3}?)(color|colour|material)\b")
WHOLE = ("image", "background")  # subjects that are no object


def rule_value(rule: str) -> tuple[str, str] | None:
    """(value, "color" or "material") of a rule in one of MICE's wordings; None for any other text."""
    match = _VALUE.search(rule)
    if match is None:
        return None
    return " ".join(match[1].split()), "material" if match[2].lower() == "material" else "color"


def lasting(sample: EditSample) -> tuple[str, str] | None:
    """What the session's rule asks of this turn; None where there is no rule, it cannot be read, or the turn is exempt."""
    if not sample.history or sample.kind != "cm" or any(e.action == "remove" for e in sample.gold):
        return None
    rule = rule_of(sample.history[0])
    return None if rule is None else rule_value(rule)


def mice_intent(sample: EditSample) -> str:
    """The turn in plain words, self-contained."""
    said = "; ".join(explicit_instruction(edit) for edit in sample.gold)
    value = lasting(sample)
    return said if value is None else f"{said}, in {value[0]} {value[1]}"


def asks_by_pronoun(sample: EditSample) -> bool:
    """A later turn of a CU session whose request does not name the object that it changes."""
    if sample.kind != "cu" or not sample.history:
        return False
    objects = [e.subject for e in sample.gold if e.subject not in WHOLE and e.action != "add"]
    return bool(objects) and not any(_within(name, sample.request) for name in objects)


def object_resolved(instruction: str, sample: EditSample) -> bool:
    """Whether the instruction names every object that the turn changes."""
    return all(_within(e.subject, instruction) for e in sample.gold if e.subject not in WHOLE)


def rule_carried(instruction: str, sample: EditSample) -> bool:
    """Whether the instruction says what the lasting rule asks of the turn, both the value and of what kind it is."""
    value = lasting(sample)
    return value is not None and _within(" ".join(value), instruction)


def _within(words: str, text: str) -> bool:
    return f" {normalise(words)} " in f" {normalise(text)} "


__all__ = ["asks_by_pronoun", "lasting", "mice_intent", "object_resolved", "rule_carried", "rule_value"]
