"""`imgedit`: ImgEdit-Bench (arXiv 2505.20275; PKU-YuanGroup/ImgEdit@547185d, Benchmark/Basic and Benchmark/UGE).

One call per edit: criteria of the item's edit type (facts["edit_type"], one of nine), text, source, edited picture; three
scores from 1 to 5: compliance with the prompt, visual naturalness, physical and detail integrity (what the last two mean
depends on the type: for `style`, whether the content is kept and how well it is rendered).

    overall = 2 * mean of the three: ImgEdit's own 1 to 5 is overall / 2

Items of the hard part (facts["edit_type"] "uge") have one score from 1 to 5, `uge`, and overall = 2 * uge. Its prompt asks
for no score in its example, so that many published replies were dropped; here the score is asked for.

Pictures are sent as they are, no temperature is sent. Different: the prompt asks for one JSON object with the reasoning
first; the published "Name: N" lines are read too, where a reply (ImgEdit-Judge's) holds no JSON. A reply without all
three scores is unreadable; there the mean is taken over whatever was found. As there, the judge is told that the second and
third score must not exceed the first, and the mean is of what it says: scores are not changed after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from judges.base import OVERALL
from judges.form import Form, Number, Words
from judges.question import Encoding, JudgeSampling, Question
from judges.reading import has_object, the_lines
from judges.rubrics.base import Answers, PromptRubric, facts_of, request_of

_NAMES = ("compliance", "naturalness", "integrity")
_LOW, _HIGH = 1, 5
UGE = "uge"
_FORM = Form({"reasoning": Words(), **dict.fromkeys(_NAMES, Number(_LOW, _HIGH))})
_UGE_FORM = Form({"reasoning": Words(), "score": Number(_LOW, _HIGH)})
# How the published prompt of each type calls the three scores, in the lines of a reply.
LINES: Mapping[str, tuple[str, str, str]] = {
    "replace": ("Prompt Compliance", "Visual Naturalness", "Physical & Detail Integrity"),
    "add": ("Prompt Compliance", "Visual Naturalness", "Physical & Detail Coherence"),
    "adjust": ("Prompt Compliance", "Visual Seamlessness", "Physical & Detail Fidelity"),
    "remove": ("Prompt Compliance", "Visual Naturalness", "Physical & Detail Integrity"),
    "style": ("Style Fidelity", "Content Preservation", "Rendering Quality"),
    "action": ("Action Fidelity", "Identity Preservation", "Visual & Anatomical Coherence"),
    "extract": ("Object Identity", "Mask Precision", "Visual Quality"),
    "background": ("Instruction Compliance", "Visual Seamlessness", "Physical Consistency"),
    "compose": ("Instruction Compliance", "Visual Naturalness", "Physical Consistency & Fine Detail"),
}
_ALIASES = {"hybrid": "compose"}


class ImgEditRubric(PromptRubric):
    name = "imgedit"
    scores = (*_NAMES, UGE, OVERALL)  # of an item, those that apply
    scales = {**dict.fromkeys((*_NAMES, UGE), float(_HIGH)), OVERALL: 10.0}
    sampling = JudgeSampling(temperature=None)
    prompts = {
        "imgedit_frame": ("criteria", "request"),
        "imgedit_uge": ("request",),
        **{f"imgedit_{kind}": () for kind in LINES},
    }

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        kind, encoding = edit_type(item), Encoding(longest=None)
        if kind == UGE:
            text = self.fill("imgedit_uge", request=request_of(item))
            parts = (text, before, after)
            return (Question("edit", parts, _UGE_FORM.read, schema=_UGE_FORM.schema, encoding=encoding),)
        text = self.fill("imgedit_frame", criteria=self.fill(f"imgedit_{kind}"), request=request_of(item))
        read = partial(_read, LINES[kind])
        return (Question("edit", (text, before, after), read, schema=_FORM.schema, encoding=encoding),)

    def score(self, answers: Answers, item: EditSample) -> Mapping[str, float]:
        if edit_type(item) == UGE:
            points = float(answers["edit"]["score"])
            return {UGE: points, OVERALL: 10 / _HIGH * points}
        three = {name: float(answers["edit"][name]) for name in _NAMES}
        return {**three, OVERALL: 10 / _HIGH * fmean(three.values())}


def edit_type(item: EditSample) -> str:
    """The item's type of edit, a key of LINES or UGE. Raises BadInput."""
    named = str(facts_of(item).get("edit_type", item.kind)).strip().lower()
    kind = _ALIASES.get(named, named)
    if kind not in LINES and kind != UGE:
        raise BadInput(
            f"item {item.id!r}: rubric imgedit has no criteria for the edit type {named!r} (facts['edit_type']); "
            f"it knows {', '.join((*LINES, UGE))}"
        )
    return kind


def _read(lines: tuple[str, str, str], text: str) -> Mapping[str, Any]:
    if has_object(text):
        return _FORM.read(text)
    scores = the_lines(text, lines, _LOW, _HIGH)
    return {name: scores[line] for name, line in zip(_NAMES, lines, strict=True)}


__all__ = ["LINES", "UGE", "ImgEditRubric", "edit_type"]
