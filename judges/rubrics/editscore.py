"""`editscore`: EditScore's protocol (arXiv 2509.23909; VectorSpaceLab/EditScore@6e0f1b9, package `editscore`).

Two calls per edit as in VIEScore, but from 0 to 25 and with the reasoning first; pictures come before the text, PQ sees
the edited picture alone (so the single-item path; the batch path of the package shows PQ both).

    prompt_following = success / 2.5      consistency = over-editing / 2.5      perceptual_quality = min(PQ) / 2.5
    overall = sqrt(min(SC) * min(PQ)) / 2.5,  avg@K: each score's mean over K passes (judge.repeats=K; 1 by default)

Sampling as there: temperature 0.7, top_p 0.9, top_k 20, 512 tokens. Different: the words are our own although the
EditScore models were trained with theirs; the pictures are sent as PNG of at most 1024 pixels; and no score stands in
for a reply that cannot be read (there a random one, or 12.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

from PIL import Image

from benchmarks.base import EditSample
from judges.base import OVERALL
from judges.form import Form, Number, Numbers, Words
from judges.question import Encoding, JudgeSampling, Question
from judges.rubrics.base import Answers, AverageOverPasses, PromptRubric, request_of

_HIGHEST = 25
_PER_POINT = _HIGHEST / 10  # 25 -> 10
_FORM = Form({"reasoning": Words(), "score": Numbers(2, Number(0, _HIGHEST, whole=False))})


class EditScoreRubric(AverageOverPasses, PromptRubric):
    name = "editscore"
    scores = ("prompt_following", "consistency", "perceptual_quality", OVERALL)
    scales = dict.fromkeys(scores, 10.0)
    sampling = JudgeSampling(temperature=0.7, top_p=0.9, top_k=20, max_tokens=512)
    prompts = {"editscore_sc": ("request",), "editscore_pq": ()}

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        sc = (before, after, self.fill("editscore_sc", request=request_of(item)))
        pq = (after, self.fill("editscore_pq"))
        return tuple(
            Question(name, parts, _FORM.read, schema=_FORM.schema, encoding=Encoding())
            for name, parts in (("sc", sc), ("pq", pq))
        )

    def score(self, answers: Answers, item: EditSample) -> Mapping[str, float]:
        success, minimal = (points / _PER_POINT for points in answers["sc"]["score"])
        quality = min(answers["pq"]["score"]) / _PER_POINT
        return {
            "prompt_following": success,
            "consistency": minimal,
            "perceptual_quality": quality,
            OVERALL: sqrt(min(success, minimal) * quality),
        }


__all__ = ["EditScoreRubric"]
