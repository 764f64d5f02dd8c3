"""`viescore`: VIEScore for text-guided editing (arXiv 2312.14867; TIGER-AI-Lab/VIEScore@2cbea4e, task "tie").

Two calls per edit. SC sees text, source, edited picture and gives [success, over-editing]; PQ sees text and the edited
picture alone and gives [naturalness, artifacts]. Scores come before the reasoning, as there.

    sc = min of its two     pq = min of its two     overall = sqrt(sc * pq), of each item, before any mean

As there: pictures as JPEG at Pillow's default quality (75) in their own size, 1400 tokens, no temperature sent (set
judge.temperature=0 for scores that repeat themselves better), fractions of points accepted. Different: the words are
our own, and a reply that cannot be read is no score, where the published script draws a random one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

from PIL import Image

from benchmarks.base import EditSample
from judges.base import OVERALL
from judges.form import Form, Number, Numbers, Words
from judges.question import Encoding, JudgeSampling, Question
from judges.rubrics.base import Answers, PromptRubric, request_of

_FORM = Form({"score": Numbers(2, Number(0, 10, whole=False)), "reasoning": Words()})
_ENCODING = Encoding(format="jpeg", quality=75, longest=None)


class VieScoreRubric(PromptRubric):
    name = "viescore"
    scores = ("sc", "pq", OVERALL)
    scales = dict.fromkeys(scores, 10.0)
    sampling = JudgeSampling(temperature=None, max_tokens=1400)
    prompts = {"viescore_sc": ("request",), "viescore_pq": ()}

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        sc = (self.fill("viescore_sc", request=request_of(item)), before, after)
        pq = (self.fill("viescore_pq"), after)
        return tuple(
            Question(name, parts, _FORM.read, schema=_FORM.schema, encoding=_ENCODING)
            for name, parts in (("sc", sc), ("pq", pq))
        )

    def score(self, answers: Answers, item: EditSample) -> Mapping[str, float]:
        sc, pq = (float(min(answers[name]["score"])) for name in ("sc", "pq"))
        return {"sc": sc, "pq": pq, OVERALL: sqrt(sc * pq)}


__all__ = ["VieScoreRubric"]
