"""A model as judge: sends a rubric's questions and reads the replies; an unreadable reply never becomes a score."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from benchmarks.base import Edit, EditSample
from common.errors import BadInput
from judges.base import OVERALL, Verdict
from judges.question import Client, JudgeSampling, Question, Reply, Rubric, Usage

ASKS = 2  # of a question whose reply cannot be read
RETRIES = 1000  # where the repeat numbers of retries begin, and how many a pass has of them
TOP = 10.0  # of a scale that the rubric does not name
UNREADABLE = (ValueError, LookupError, TypeError, RecursionError)  # what reading a stranger's JSON can end in


class _Invalid(Exception):
    """Why a pass has no scores; `final`: the other passes would fail as well."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@dataclass(frozen=True)
class _Pass:
    """One pass over a rubric's questions: its number, and the replies so far as `Verdict.raw` holds them."""

    number: int
    replies: list[dict[str, Any]]


class LLMJudge:
    """`judges.base.Judge` by any client and rubric; blocking, safe to use from many threads.

    `sampling` and `repeats` replace the rubric's own. An unreadable reply (no JSON, a key missing, a value out of its range,
    cut off) is requested once more under another repeat number. A pass in which a question still has no readable
    reply is invalid; the verdict is over the valid passes where they are at least half of all, else invalid. A refusal
    makes the verdict invalid at once.

    `retry`: refusals and unreadable replies that the cache holds do not settle a question: it is asked anew, under repeat
    numbers of their own, so that a later start finds these replies too. What was readable is not asked again.
    """

    def __init__(
        self,
        client: Client,
        rubric: Rubric,
        sampling: JudgeSampling | None = None,
        repeats: int | None = None,
        retry: bool = False,
    ) -> None:
        self.client, self.rubric, self.retry = client, rubric, retry
        self.sampling = rubric.sampling if sampling is None else sampling
        self.repeats = rubric.repeats if repeats is None else repeats
        self._announced = frozenset(rubric.scores)
        if self.repeats < 1:
            raise BadInput(f"a judge needs at least 1 pass over its questions, not {self.repeats}")

    @property
    def concurrency(self) -> int:
        return self.client.concurrency

    @property
    def usage(self) -> Usage:
        return self.client.usage

    @property
    def model(self) -> str:
        return self.client.model

    @property
    def name(self) -> str:
        """Of the rubric."""
        return self.rubric.name

    def judge(self, before: Image.Image, after: Image.Image, wanted: EditSample | Sequence[Edit]) -> Verdict:
        """Scores by the rubric. `raw` holds every reply and what it used.

        Raises BadInput for what concerns all edits alike, BudgetSpent.
        """
        if not isinstance(wanted, EditSample):
            raise BadInput("a model judges by the request in words: hand it the sample, not its edits alone")
        try:
            questions = self.rubric.questions(wanted, before, after)
        except BadInput as error:
            return Verdict.invalid(str(error))
        passes: list[Mapping[str, float]] = []
        reasons: list[str] = []
        raw: dict[str, Any] = {"model": self.model, "rubric": self.rubric.name, "replies": []}
        for k in range(self.repeats):
            try:
                passes.append(self._scores(questions, wanted, _Pass(k, raw["replies"])))
            except _Invalid as invalid:
                reasons.append(str(invalid))
                if invalid.final or 2 * len(reasons) > self.repeats:
                    return Verdict.invalid(reasons[-1], raw)
        scores = dict(passes[0] if self.repeats == 1 else self.rubric.combine(passes))
        note = f"{len(reasons)} of {self.repeats} passes invalid, the last: {reasons[-1]}" if reasons else ""
        return Verdict(scores, True, note, raw)

    def _scores(self, questions: Sequence[Question], item: EditSample, log: _Pass) -> Mapping[str, float]:
        answers = {question.name: self._answer(question, log) for question in questions}
        try:
            scores = self.rubric.score(answers, item)
        except UNREADABLE as error:
            raise _Invalid(f"the replies make no score: {_words(error)}") from None
        if not scores.keys() <= self._announced:
            unknown = sorted(scores.keys() - self._announced)
            raise BadInput(f"the rubric {self.rubric.name} gave a score {unknown[0]} that it does not announce")
        for name in (OVERALL, *scores):  # others are left out where they do not apply to the item
            value, top = scores.get(name), self.rubric.scales.get(name, TOP)
            if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= top:
                raise _Invalid(f"the score {name} is {value}, not a number from 0 to {top:g}")
        return scores

    def _answer(self, question: Question, log: _Pass) -> Mapping[str, Any]:
        reason, asks = "", 0
        for repeat in self._numbers(log.number):
            reply = self.client.ask(question, self.sampling, repeat)
            from_cache = self.retry and reply.usage.cached > 0
            asks += not from_cache
            log.replies.append(_reply_record(question, log.number, repeat, reply))
            if reply.text is not None:
                try:
                    return question.read(reply.text)
                except UNREADABLE as error:
                    reason = f"unreadable reply to {question.name}: {_words(error)}"
            elif reply.cut:
                reason = f"unreadable reply to {question.name}: {reply.reason}"
            else:
                what = "refused" if reply.refused else "no reply"
                reason = f"{question.name}: {what}: {reply.reason}"
                if not from_cache:
                    raise _Invalid(reason, final=reply.refused)
            log.replies[-1]["reason"] = reason
            if asks == ASKS:
                break
        raise _Invalid(f"{reason} (asked {ASKS} times)")

    def _numbers(self, number: int) -> Iterator[int]:
        """Repeat numbers of a pass: a judge of more passes finds the replies of one with fewer."""
        yield from range(ASKS * number, ASKS * (number + 1))
        if self.retry:
            yield from range(RETRIES * (number + 1), RETRIES * (number + 2))


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _reply_record(question: Question, number: int, repeat: int, reply: Reply) -> dict[str, Any]:
    return {
        "question": question.name,
        "pass": number,
        "repeat": repeat,
        "text": reply.text,
        "reason": reply.reason,
        "refused": reply.refused,
        "usage": vars(reply.usage) | {},
    }


__all__ = ["ASKS", "LLMJudge"]
