"""`paper`: the three aspects of ImageEdit-R1 (arXiv 2603.08059): request fulfilled, image quality, content preserved.

Known of the protocol: LLM judges (GPT-4o, Gemini-2.5-Flash), these three aspects, scores from 0 to 10. Assumed here,
since the prompts and the combination are not published: the words; one call for all three, source first, then the
edited picture; reasoning before the scores; temperature 0; pictures as PNG of at most 1024 pixels; and

    overall = (request_fulfilled + image_quality + content_preserved) / 3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from PIL import Image

from benchmarks.base import EditSample
from judges.base import ASPECTS, OVERALL
from judges.form import Form, Number, Words
from judges.question import Encoding, JudgeSampling, Question
from judges.rubrics.base import Answers, PromptRubric, request_of

_SCORE = Number(0, 10)
_FORM = Form({"reasoning": Words(), "request_fulfilled": _SCORE, "image_quality": _SCORE, "content_preserved": _SCORE})


class PaperRubric(PromptRubric):
    name = "paper"
    scores = (*ASPECTS, OVERALL)
    scales = dict.fromkeys(scores, 10.0)
    sampling = JudgeSampling(temperature=0.0)
    prompts = {"paper_aspects": ("request",)}

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        text = self.fill("paper_aspects", request=request_of(item))
        return (Question("aspects", (text, before, after), _FORM.read, schema=_FORM.schema, encoding=Encoding()),)

    def score(self, answers: Answers, item: EditSample) -> Mapping[str, float]:
        aspects = {aspect: float(answers["aspects"][aspect]) for aspect in ASPECTS}
        return {**aspects, OVERALL: fmean(aspects.values())}


__all__ = ["PaperRubric"]
