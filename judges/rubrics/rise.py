"""`rise`: RISEBench (arXiv 2504.02826; PhoenixZ810/RISEBench@5f22651, gpt_eval.py with its fix of April 2026).

Up to three calls per edit, each with its reasoning first and a score from 1 to 5; of logical problems two, whose answers
are 0 or 1 and count as 1 or 5. A score that does not apply to an item is left out.

    consistency (AC)    text, source, edited picture        not asked where facts["consistency_free"]
    reasoning (IR)      text with facts["reference_text"], edited picture; the source before it where facts["needs_source"]
    plausibility (VP)   text, edited picture                not asked of logical problems

A published reference picture (facts["reference_image"], a function that opens it) takes the source's place in the first
two, in spatial and logical items; in logical ones only where there is no reference in words. Their problem is left out
of the second where facts["hides_instruction"].

    weighted = .3 AC + .5 IR + .2 VP  |  logical: .3 AC + .7 IR  |  consistency_free: .8 IR + .2 VP
    where IR = 1: weighted / 2, but not below 1      accuracy = 1 where every score that applies is 5, else 0
    overall = 2.5 * (weighted - 1): a tenth of the percentage that RISEBench prints

Kind of the item: facts["category"], else item.kind; temporal, causal, spatial or logical, with or without "_reasoning".
As there: temperature 0, 4096 tokens, JPEG (quality 75) of at most 768 pixels, detail "high". Different: our own words,
the same ones for spatial items as for temporal and causal ones; logical items always have their consistency asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from judges.base import OVERALL
from judges.form import Form, Number, Words
from judges.question import Encoding, JudgeSampling, Question
from judges.rubrics.base import Answers, PromptRubric, facts_of, request_of

KINDS = ("temporal", "causal", "spatial", "logical")
_BEST, _WORST = 5, 1
_FIVE = Form({"reasoning": Words(), "score": Number(_WORST, _BEST)})
_YES_NO = Form({"reasoning": Words(), "score": Number(0, 1)})
_ENCODING = Encoding(format="jpeg", quality=75, longest=768, detail="high")
_WEIGHTS = {"consistency": 0.3, "reasoning": 0.5, "plausibility": 0.2}
_WEIGHTS_LOGICAL = {"consistency": 0.3, "reasoning": 0.7}
_WEIGHTS_FREE = {"reasoning": 0.8, "plausibility": 0.2}


class RiseRubric(PromptRubric):
    name = "rise"
    scores = ("consistency", "reasoning", "plausibility", "accuracy", OVERALL)
    scales = {"consistency": 5.0, "reasoning": 5.0, "plausibility": 5.0, "accuracy": 1.0, OVERALL: 10.0}
    sampling = JudgeSampling(temperature=0.0, max_tokens=4096)
    prompts = {
        "rise_consistency": ("request",),
        "rise_reasoning": ("given", "request", "reference"),
        "rise_reasoning_picture": ("request",),
        "rise_plausibility": (),
        "rise_logical_consistency": ("given", "request", "answer"),
        "rise_logical_reasoning": ("reference",),
        "rise_logical_reasoning_picture": ("request",),
        "rise_logical_reasoning_alone": (),
    }

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        questions = (
            self._logical(item, before, after) if kind_of(item) == "logical" else self._plain(item, before, after)
        )
        form = _YES_NO if kind_of(item) == "logical" else _FIVE
        return tuple(
            Question(name, parts, form.read, schema=form.schema, encoding=_ENCODING)
            for name, parts in questions.items()
            if name in weights_of(item)
        )

    def score(self, answers: Answers, item: EditSample) -> Mapping[str, float]:
        weights = weights_of(item)
        points = {name: float(answers[name]["score"]) for name in weights}
        if kind_of(item) == "logical":
            points = {name: _WORST + (_BEST - _WORST) * yes for name, yes in points.items()}
        weighted = sum(weights[name] * points[name] for name in weights)
        if points["reasoning"] == _WORST:
            weighted = max(_WORST, weighted / 2)
        accuracy = float(all(value == _BEST for value in points.values()))
        return {**points, "accuracy": accuracy, OVERALL: 10 * (weighted - _WORST) / (_BEST - _WORST)}

    def _plain(self, item: EditSample, before: Image.Image, after: Image.Image) -> dict[str, tuple]:
        request, words = request_of(item), _words(item)
        shown = _shown(item) if kind_of(item) == "spatial" else None
        if shown is not None:
            reasoning: tuple = (self.fill("rise_reasoning_picture", request=request), shown, after)
        elif not words:
            raise _nothing_to_compare(item)
        else:
            with_source = bool(facts_of(item).get("needs_source"))
            given = "; the original picture comes before it" if with_source else ""
            text = self.fill("rise_reasoning", given=given, request=request, reference=words)
            reasoning = (text, before, after) if with_source else (text, after)
        return {
            "consistency": (self.fill("rise_consistency", request=request), shown or before, after),
            "reasoning": reasoning,
            "plausibility": (self.fill("rise_plausibility"), after),
        }

    def _logical(self, item: EditSample, before: Image.Image, after: Image.Image) -> dict[str, tuple]:
        request, words = request_of(item), _words(item)
        if words:
            text = self.fill(
                "rise_logical_consistency", given="the original", request=request, answer=f"Right answer: {words}\n"
            )
            reasoning = self.fill("rise_logical_reasoning", reference=words)
            return {"consistency": (text, before, after), "reasoning": (reasoning, after)}
        shown = _shown(item)
        if shown is None:
            raise _nothing_to_compare(item)
        text = self.fill("rise_logical_consistency", given="the right solution", request=request, answer="")
        alone = facts_of(item).get("hides_instruction")
        prompt = "rise_logical_reasoning_alone" if alone else "rise_logical_reasoning_picture"
        reasoning = self.fill(prompt, **({} if alone else {"request": request}))
        return {"consistency": (text, shown, after), "reasoning": (reasoning, shown, after)}


def kind_of(item: EditSample) -> str:
    """One of KINDS. Raises BadInput."""
    named = str(facts_of(item).get("category", item.kind))
    kind = named.strip().lower().removesuffix("_reasoning")
    if kind not in KINDS:
        raise BadInput(f"item {item.id!r}: rubric rise knows no category {named!r}; it knows {', '.join(KINDS)}")
    return kind


def weights_of(item: EditSample) -> Mapping[str, float]:
    """The scores that apply to the item, with their weights."""
    if kind_of(item) == "logical":
        return _WEIGHTS_LOGICAL
    return _WEIGHTS_FREE if facts_of(item).get("consistency_free") else _WEIGHTS


def _words(item: EditSample) -> str:
    return str(facts_of(item).get("reference_text") or "").strip()


def _shown(item: EditSample) -> Image.Image | None:
    opens = facts_of(item).get("reference_image")
    return None if opens is None else opens()


def _nothing_to_compare(item: EditSample) -> BadInput:
    return BadInput(f"item {item.id!r}: rubric rise needs a reference: facts['reference_text'] or ['reference_image']")


__all__ = ["KINDS", "RiseRubric", "kind_of", "weights_of"]
