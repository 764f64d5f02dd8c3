"""`complex_edit`: Complex-Edit's two evaluators (arXiv 2504.13143; UCSC-VLAA/Complex-Edit, complex_edit/eval).

Two calls per pass. Alignment: rubric as system prompt, then source, edited picture, text; reasoning first, then
instruction_following and identity_preservation. Quality: rubric as system prompt, then the edited picture alone; the
score without reasoning (the paper's choice: no chain of thought there). All 0 to 10.

    overall = (instruction_following + identity_preservation + perceptual_quality) / 3
    every score is the mean of 20 samples at temperature 1: 40 calls per edit. judge.repeats sets another number.

Pictures are PNG in their own size, detail "high", 512 tokens. Different: the scores are asked for as numbers, not as
the words "0" to "10"; each sample is a call of its own (there 5 in one); and the two known mix-ups of the published
script (per-picture files scrambled, overall/final_result.json holding the quality alone) are not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from PIL import Image

from benchmarks.base import EditSample
from judges.base import OVERALL
from judges.form import Form, Number, Words
from judges.question import Encoding, JudgeSampling, Question
from judges.rubrics.base import Answers, AverageOverPasses, PromptRubric, request_of

_SCORE = Number(0, 10)
_ALIGNMENT = Form({"reasoning": Words(), "instruction_following": _SCORE, "identity_preservation": _SCORE})
_QUALITY = Form({"perceptual_quality": _SCORE})
_ENCODING = Encoding(longest=None, detail="high")


class ComplexEditRubric(AverageOverPasses, PromptRubric):
    name = "complex_edit"
    scores = ("instruction_following", "identity_preservation", "perceptual_quality", OVERALL)
    scales = dict.fromkeys(scores, 10.0)
    sampling = JudgeSampling(temperature=1.0, max_tokens=512)
    repeats = 20
    prompts = {
        "complex_edit_alignment_system": (),
        "complex_edit_alignment": ("request",),
        "complex_edit_quality_system": (),
    }

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        alignment = Question(
            "alignment",
            (before, after, self.fill("complex_edit_alignment", request=request_of(item))),
            _ALIGNMENT.read,
            system=self.fill("complex_edit_alignment_system"),
            schema=_ALIGNMENT.schema,
            encoding=_ENCODING,
        )
        quality = Question(
            "quality",
            (after,),
            _QUALITY.read,
            system=self.fill("complex_edit_quality_system"),
            schema=_QUALITY.schema,
            encoding=_ENCODING,
        )
        return alignment, quality

    def score(self, answers: Answers, item: EditSample) -> Mapping[str, float]:
        three = {
            "instruction_following": float(answers["alignment"]["instruction_following"]),
            "identity_preservation": float(answers["alignment"]["identity_preservation"]),
            "perceptual_quality": float(answers["quality"]["perceptual_quality"]),
        }
        return {**three, OVERALL: fmean(three.values())}


__all__ = ["ComplexEditRubric"]
