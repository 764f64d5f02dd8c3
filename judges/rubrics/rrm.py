"""`rrm`: a reasoning reward model (arXiv 2604.27505). One call per edit: both pictures, the instruction and, where the model
verifies, the evaluation points; it answers with a trace (`judges/reasoning/trace.py`), whose score is `overall`. avg@K: the mean
over K passes (judge.repeats=K with a temperature above 0). `scoring=logits` takes the score that the model expects at the end of
its trace in place of the one that it says (`judges/reasoning/expected.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from judges.base import OVERALL
from judges.choices import GENERATED, LOGITS
from judges.prompt import load_prompt, version_of
from judges.question import Encoding, JudgeSampling, Question
from judges.reasoning.expected import read_expected
from judges.reasoning.points import Point
from judges.reasoning.trace import Form, read_trace
from judges.rubrics.base import Answers, AverageOverPasses, PromptRubric, request_of

Points = Callable[[EditSample], Sequence[Point]]


class RRMRubric(AverageOverPasses, PromptRubric):
    """`points` gives the evaluation points of a sample; a form that does not verify needs none. `prompt` is a file of
    judges/prompts, with the fields {request} and, where the form verifies, {points}."""

    name = "rrm"
    scores: tuple[str, ...] = (OVERALL,)
    scales: Mapping[str, float] = {OVERALL: 10.0}
    prompts: Mapping[str, tuple[str, ...]] = {}
    scorings = (GENERATED, LOGITS)

    def __init__(
        self,
        points: Points,
        prompt: str = "rrm",
        form: Form = Form.BOTH,
        max_tokens: int = 2048,
        scoring: str = GENERATED,
    ) -> None:
        if scoring not in self.scorings:
            raise BadInput(f"scoring={scoring} is unknown; choose {' or '.join(self.scorings)}")
        self.points, self.form, self.scoring = points, form, scoring
        fields = ("request", "points") if form.verifies else ("request",)
        self._prompts = {"trace": load_prompt(prompt_of(prompt, form), fields)}
        self.version = version_of(self._prompts.values())
        self.sampling = JudgeSampling(max_tokens=max_tokens)

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        points = self.points(item) if self.form.verifies else ()
        parts = (before, after, self.text(request_of(item), points))
        logits = self.scoring == LOGITS
        read = partial(_read, questions=tuple(p.question for p in points), form=self.form, logits=logits)
        return (Question("trace", parts, read, encoding=Encoding(), expects_score=logits),)

    def text(self, request: str, points: Sequence[Point]) -> str:
        """What the model reads behind the two pictures."""
        own = {"points": "\n".join(p.question for p in points)} if self.form.verifies else {}
        return self.fill("trace", request=request, **own)

    def score(self, answers: Answers, item: EditSample) -> Mapping[str, float]:
        return {OVERALL: answers["trace"]["score"]}


def prompt_of(prompt: str, form: Form) -> str:
    """The file for traces of this form: <prompt>, <prompt>_think, <prompt>_verify or <prompt>_score."""
    return prompt if form is Form.BOTH else f"{prompt}_{form.value}"


def _read(text: str, questions: Sequence[str], form: Form, logits: bool = False) -> dict[str, Any]:
    text, expected = read_expected(text) if logits else (text, None)
    trace = read_trace(text, questions, form)
    return {
        "score": trace.score if expected is None else expected,
        "said": trace.score,
        "verdicts": list(trace.verdicts),
        "thought": trace.thought,
    }


__all__ = ["Points", "RRMRubric", "prompt_of"]
