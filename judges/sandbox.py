"""The sandbox's judge: it sees the pixels before and after, and the gold edits; never a scene it was handed.

It reads the scene from `before`, works out what the edits should give, and measures. Free choices (add without a place,
"left of ...") are settled in favour of the picture: among the cells that satisfy an edit it takes the one that fits best.

* request_fulfilled: 10 x the mean credit of the edits. An edit's credit is how far the pixels that it alone decides have
  come from "everything but this edit" to "everything" (0: no further than the untouched picture; 1: there). If an edit
  is right but others are not, it is also measured as if it had been the only one; the better of both counts.
* content_preserved: likeness of everything that no edit changes, by parts: every untouched object, and the background of
  each cell and of the caption band. Half the mean over parts (objects and background weigh the same), half the worst
  part, so that one spoilt thing costs the same in a full and in an empty picture. Where the whole picture is edited
  (background, light, tone, zoom) the parts are compared as they look with the best-fitting subset of those edits.
* image_quality: fine structure (blur lowers it, noise and artefacts raise it) compared with that of the clean picture
  most like it: the target, its partial answers, the input, or what `after` shows where that is a clean drawing.
* overall: the geometric mean of the three, so that a picture that does nothing asked for is worth nothing.

A result of another size than the input, or a picture that shows no square of at least 32 pixels, is an invalid verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks.base import Edit, EditSample
from benchmarks.errors import BadInput
from benchmarks.sandbox.perceive import background_share, perceive, perceive_fully
from benchmarks.sandbox.render import render
from judges.answers import Answers
from judges.base import OVERALL, Verdict
from judges.measure import differs, match, progress, same_detail
from judges.parts import preserved

DONE = 0.75  # an edit with this much credit counts as done
OWN_SHARE = (
    0.25  # an edit is measured on the pixels it shares with no other edit if they are this share of all its pixels
)
CLEAN_ERROR = 2.0  # mean cost per pixel up to which a picture is taken for one of the world's own drawings
CLEAN_SHARE = 0.1  # the world's drawings show at least this much of their background, exactly
MIN_SIDE = 32


@dataclass(frozen=True)
class EditScore:
    """What the judge found about one gold edit."""

    edit: Edit
    credit: float  # 0..1
    done: bool


@dataclass(frozen=True)
class Measurement:
    """The raw material of a verdict, each share in 0..1."""

    edits: tuple[EditScore, ...]
    preserved: float
    quality: float


class SandboxJudge:
    """Deterministic; a few milliseconds per picture at 64 pixels."""

    def judge(self, before: Image.Image, after: Image.Image, wanted: EditSample | Sequence[Edit]) -> Verdict:
        """Scores of `after` as an answer to the gold edits (a sample's, or given alone) on `before`."""
        gold = tuple(wanted.gold if isinstance(wanted, EditSample) else wanted)
        if not gold:
            raise BadInput("the sandbox judge needs at least one gold edit")
        if before.size != after.size:
            return Verdict.invalid(
                f"the result is {after.size}, the input {before.size} (width, height); sizes must agree"
            )
        if before.width != before.height or before.width < MIN_SIDE:
            return Verdict.invalid(
                f"sandbox pictures are squares of at least {MIN_SIDE} pixels, this one is {before.size}"
            )
        old, new = np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB"))
        try:
            found = measure(old, new, gold)
        except BadInput as error:  # the edits cannot be done on what the judge sees
            return Verdict.invalid(f"the gold edits do not fit the picture: {error}")
        fulfilled = 10 * float(np.mean([e.credit for e in found.edits]))
        kept, quality = 10 * found.preserved, 10 * found.quality
        scores = {
            "request_fulfilled": fulfilled,
            "content_preserved": kept,
            "image_quality": quality,
            OVERALL: (fulfilled * kept * quality) ** (1 / 3),
        }
        return Verdict({k: round(min(10.0, v), 4) for k, v in scores.items()}, raw=found)


def measure(before: np.ndarray, after: np.ndarray, gold: Sequence[Edit]) -> Measurement:
    """All shares for uint8[S, S, 3] pictures. Raises BadInput where the edits cannot be done on what `before` shows."""
    answers = Answers(before, perceive(before), tuple(gold), after)
    credits = _credits(answers, after)
    edits = tuple(EditScore(e, c, c >= DONE) for e, c in zip(gold, credits, strict=True))
    references = [before, answers.target, *(p for p in (*answers.without, *answers.alone) if p is not None)]
    if any(np.array_equal(after, r) for r in references):
        quality = 1.0
    else:
        if (
            background_share(after) >= CLEAN_SHARE
        ):  # perhaps another scene than was asked for, but drawn as the world draws
            own = perceive_fully(after)
            if own.error <= CLEAN_ERROR:
                references.append(render(own.scene, len(after)))
        quality = same_detail(after, references)
    return Measurement(edits, preserved(answers, after), quality)


def _credits(answers: Answers, after: np.ndarray) -> list[float]:
    """One share per edit."""
    before, target = answers.before, answers.target
    changed = differs(before, target)
    decided = [_decided(answers, i, changed) for i in range(len(answers.edits))]
    credits = []
    for i, alone in enumerate(answers.alone):
        others = np.zeros_like(changed)
        for j, region in enumerate(decided):
            if j != i and region is not None:
                others |= region
        credit = _in_full(answers, after, i, decided[i], others, changed)
        if alone is not None and (where := differs(alone, before)).any():
            without = answers.without[i]  # what the other edits do there by themselves is not this one's merit
            starts = [before] if without is None else [before, without]
            credit = max(credit, progress(after, alone, starts, where, idle=0.0))
        credits.append(credit)
    return credits


def _decided(answers: Answers, i: int, changed: np.ndarray) -> np.ndarray | None:
    """bool[S, S]: the pixels of the target that would look otherwise without edit i; None where that cannot be told."""
    without = answers.without[i]
    if without is None:
        return None
    region = differs(without, answers.target)
    if (
        region & ~changed
    ).any():  # it undoes what another edit does (moved, then removed): the thing's old place counts too
        region = region | (answers.footprint(i) & changed)
    return region


def _in_full(
    answers: Answers, after: np.ndarray, i: int, region: np.ndarray | None, others: np.ndarray, changed: np.ndarray
) -> float:
    """Credit of edit i measured against the answer to all edits."""
    before, target, without = answers.before, answers.target, answers.without[i]
    starts = [before]
    if region is not None and without is not None and region.any():
        starts.append(without)
    else:  # a later edit hides it or needs it: all that happened to the same thing speaks for it
        region = answers.footprint(i) & changed
    own = region & ~others
    if own.sum() >= OWN_SHARE * region.sum() and own.any():
        region = own
    if region.any():
        return progress(after, target, starts, region)
    if changed.any():  # it leaves no trace of its own in the end (outside a zoom's frame, say)
        return progress(after, target, [before], changed)
    return float(match(after, target).mean())  # nothing was to change


__all__ = ["EditScore", "Measurement", "SandboxJudge", "measure"]
