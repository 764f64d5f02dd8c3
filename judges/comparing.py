"""A model that compares two edits by the questions of the `pairwise` rubric; an unreadable reply never becomes a winner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from judges.question import Client, JudgeSampling, Question, Unreadable, Usage
from judges.rubrics.pairwise import FIRST, SECOND, PairRubric, PairVerdict

ASKS = 2  # of a question whose reply cannot be read
LABELS = {FIRST: "a", SECOND: "b"}


@dataclass(frozen=True)
class PairwiseVerdict:
    """`label`: a, b or tie for the first and second edit; None where `reason` says why there is no verdict."""

    label: str | None
    reason: str = ""
    consistent: bool = True  # both orders, where asked, named the same winner
    favoured_side: str = ""  # A or B where both orders named the same side


class PairwiseJudge(Protocol):
    """Blocks until the verdict is there; safe to call from `concurrency` threads."""

    concurrency: int

    def compare(self, before: Image.Image, a: Image.Image, b: Image.Image, item: EditSample) -> PairwiseVerdict: ...


class LLMComparison:
    """`PairwiseJudge` by any client. An unreadable reply is requested once more, then the verdict is invalid, as it
    is where the service refuses one of the orders. Raises BadInput for what concerns all pairs alike, BudgetSpent."""

    def __init__(
        self, client: Client, rubric: PairRubric, sampling: JudgeSampling | None = None, repeats: int | None = None
    ) -> None:
        self.client, self.rubric = client, rubric
        self.sampling = rubric.sampling if sampling is None else sampling
        self.repeats = rubric.repeats if repeats is None else repeats
        if self.repeats < 1:
            raise BadInput(f"a judge needs at least 1 pass over its questions, not {self.repeats}")

    @property
    def concurrency(self) -> int:
        return self.client.concurrency

    @property
    def usage(self) -> Usage:
        return self.client.usage

    def compare(self, before: Image.Image, a: Image.Image, b: Image.Image, item: EditSample) -> PairwiseVerdict:
        passes: list[PairVerdict] = []
        for number in range(self.repeats):
            answers: dict[str, Mapping[str, Any]] = {}
            for question in self.rubric.questions(item, before, a, b):
                answer, reason = self._answer(question, number)
                if answer is None:
                    return PairwiseVerdict(None, reason)
                answers[question.name] = answer
            passes.append(self.rubric.verdict(answers, item))
        verdict = self.rubric.combine(passes)
        label = LABELS.get(verdict.winner, "tie")
        return PairwiseVerdict(label, consistent=verdict.consistent, favoured_side=verdict.favoured_side)

    def _answer(self, question: Question, number: int) -> tuple[Mapping[str, Any] | None, str]:
        reason = ""
        for again in range(ASKS):
            reply = self.client.ask(question, self.sampling, ASKS * number + again)
            if reply.text is None:
                return None, reply.reason or "no reply"
            try:
                return question.read(reply.text), ""
            except Unreadable as error:
                reason = f"unreadable reply to {question.name}: {error}"
        return None, reason


__all__ = ["PairwiseVerdict", "LLMComparison", "PairwiseJudge"]
