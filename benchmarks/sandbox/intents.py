"""What a turn of a sandbox session means by itself: its edits with the lasting rule applied, named as things look in the turn's
own picture."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.base import Edit, explicit_instruction
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SandboxSample
from benchmarks.sandbox.scene import COLOURS, MATERIALS, SIZES
from common.errors import BadInput


def meant_edits(sample: SandboxSample) -> tuple[Edit, ...]:
    """The edits that lead from the turn's scene to the one after it. A new thing is asked for as the rule wants it; a thing that is
    changed gets one more edit, unless the rule decides what the edit itself was to decide. Raises BadInput for a turn of several
    edits under a rule: what they touch together is not defined."""
    rule = sample.rule
    if rule is None or apply_edits(sample.before, sample.gold) == sample.after:
        return sample.gold
    if len(sample.gold) != 1:
        raise BadInput(f"sample {sample.id!r} has {len(sample.gold)} edits under a lasting rule; one is expected")
    (edit,) = sample.gold
    value = rule.goal or ""
    if edit.action == "add":
        return (replace(edit, subject=_with(edit.subject, rule.action, value)),)
    if edit.action == "replace":
        return (replace(edit, goal=_with(edit.goal or "", rule.action, value)),)
    lasting = Edit(rule.action, edit.subject, value)
    return (lasting,) if edit.action == rule.action else (edit, lasting)


def intent_of(sample: SandboxSample) -> str:
    """The same in plain words, as an editor is told."""
    return "; ".join(explicit_instruction(edit) for edit in meant_edits(sample))


def _with(phrase: str, action: str, value: str) -> str:
    """A phrase such as 'large striped red star' with another colour or material."""
    words = phrase.split()
    kinds = COLOURS if action == "recolor" else MATERIALS
    kept = [w for w in words if w not in kinds]
    if action == "recolor":
        return " ".join([*kept[:-1], value, kept[-1]])
    size = [w for w in kept if w in SIZES]
    return " ".join([*size, value, *(w for w in kept if w not in SIZES)])


__all__ = ["intent_of", "meant_edits"]
