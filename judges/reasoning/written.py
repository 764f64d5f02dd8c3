"""A cold start's teacher made of large models (arXiv 2604.27505, method, steps 1, 3 and 4): one writes the evaluation points,
several write reasoning traces, one verifies the points with the traces as references. What cannot be read is asked for once
more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput, RunFailed
from common.pictures import to_rgb
from judges.prompt import load_prompt
from judges.question import Client, JudgeSampling, Question, Unreadable
from judges.reading import the_object
from judges.reasoning.points import Point, plain, read_points
from judges.reasoning.trace import Trace
from judges.rubrics.base import request_of
from judges.rubrics.rrm import RRMRubric

T = TypeVar("T")
ASKS = 2
POINTS, VERIFIER = ("rrm_points", ("request",)), ("rrm_verifier", ("request", "points", "traces"))


def asked(client: Client, question: Question, sampling: JudgeSampling, read: Callable[[str], T], first: int = 0) -> T:
    """What the reply says; asked again where it cannot be read. Raises RunFailed with the last reason."""
    reason = ""
    for repeat in range(first, first + ASKS):
        reply = client.ask(question, sampling, repeat)
        if reply.text is None:
            reason = reply.reason
            continue
        try:
            return read(reply.text)
        except Unreadable as error:
            reason = str(error)
    raise RunFailed(f"{client.model} gave no usable reply to {question.name} in {ASKS} attempts: {reason}")


@dataclass(frozen=True)
class WrittenPoints:
    """Evaluation points of samples by a model that sees the picture and the request; each sample's are asked for once."""

    client: Client
    sampling: JudgeSampling = JudgeSampling(max_tokens=2048)

    def __call__(self, sample: EditSample) -> tuple[Point, ...]:
        before = sample.image
        if before is None:
            raise BadInput(f"sample {sample.id!r} has no picture; evaluation points need one")
        text = load_prompt(*POINTS).fill(request=request_of(sample))
        question = Question("points", (to_rgb(before), text), _pass_on)
        return asked(self.client, question, self.sampling, read_points)


@dataclass(frozen=True)
class WrittenTraces:
    """Traces by several models in turns, each with another repeat number, at a temperature above 0."""

    clients: Sequence[Client]
    rubric: RRMRubric
    count: int
    sampling: JudgeSampling = field(default_factory=lambda: JudgeSampling(temperature=1.0, max_tokens=4096))

    def __call__(self, sample: EditSample, after: Image.Image) -> list[str]:
        """`count` texts; a model that gave none, or was cut off, leaves an empty one."""
        if sample.image is None:
            raise BadInput(f"sample {sample.id!r} has no picture; a trace needs the pictures before and after the edit")
        (question,) = self.rubric.questions(sample, to_rgb(sample.image), after)
        texts = []
        for k in range(self.count):
            client = self.clients[k % len(self.clients)]
            texts.append(client.ask(question, self.sampling, k // len(self.clients)).text or "")
        return texts


@dataclass(frozen=True)
class WrittenAnswers:
    """A verifier's 1 or 0 for each point. It is shown the other evaluators' answers, which are references only."""

    client: Client
    sampling: JudgeSampling = JudgeSampling(max_tokens=4096)

    def __call__(
        self, sample: EditSample, after: Image.Image, points: Sequence[Point], traces: Sequence[Trace]
    ) -> tuple[int, ...]:
        if sample.image is None:
            raise BadInput(
                f"sample {sample.id!r} has no picture; a verifier needs the pictures before and after the edit"
            )
        said = [f"Evaluator {k}: {', '.join(map(str, t.verdicts))} ({t.thought})" for k, t in enumerate(traces, 1)]
        text = load_prompt(*VERIFIER).fill(
            request=request_of(sample),
            points="\n".join(f"{k}. {p.question}" for k, p in enumerate(points, 1)),
            traces="\n".join(said) or "There are none.",
        )
        question = Question("verifier", (to_rgb(sample.image), after, text), _pass_on)
        return asked(self.client, question, self.sampling, partial(read_answers, points=points))


def read_answers(text: str, points: Sequence[Point]) -> tuple[int, ...]:
    """The verifier's answers. Raises Unreadable where the entries are not those of the points, in their order."""
    rows = the_object(text, ("gold",))["gold"]
    if not isinstance(rows, list) or len(rows) != len(points):
        found = len(rows) if isinstance(rows, list) else "no"
        raise Unreadable(f"the verifier answers {found} of {len(points)} points")
    return tuple(_answer(row, point) for row, point in zip(rows, points, strict=True))


def _answer(row: Any, point: Point) -> int:
    if not isinstance(row, dict) or plain(str(row.get("question", ""))) != plain(point.question):
        raise Unreadable(f"the verifier answers {str(row)[:200]!r} where {point.question!r} was asked")
    if isinstance(row.get("gold"), bool) or row.get("gold") not in (0, 1):
        raise Unreadable(f"the verifier's answer to {point.question!r} is {row.get('gold')!r}, not 0 or 1")
    return int(row["gold"])


def _pass_on(text: str) -> dict[str, str]:
    return {"text": text}


__all__ = ["WrittenAnswers", "WrittenPoints", "WrittenTraces", "asked", "read_answers"]
