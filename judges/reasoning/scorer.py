"""Scores of many edits by a reward model in one process, in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from agents.backends.base import Backend, ModelRequest, Sampling
from benchmarks.base import EditSample
from common.errors import BadInput
from common.pictures import to_rgb
from judges.choices import LOGITS
from judges.question import Unreadable
from judges.reasoning.expected import with_expected
from judges.rubrics.rrm import RRMRubric

Score = Callable[[str], "float | None"]
# of a trace the score by the rubric's scoring, and the one that it says
Both = Callable[[str], "tuple[float, float] | None"]


def ask(rubric: RRMRubric, sample: EditSample, after: Image.Image) -> tuple[ModelRequest, Score]:
    """What the reward model is shown of an edit, and what reads the score of its trace (None: unreadable)."""
    request, read = _ask(rubric, sample, after)

    def score(text: str) -> float | None:
        both = read(text)
        return None if both is None else both[0]

    return request, score


def _ask(rubric: RRMRubric, sample: EditSample, after: Image.Image) -> tuple[ModelRequest, Both]:
    before = sample.image
    if before is None:
        raise BadInput(
            f"sample {sample.id!r} has no picture; a reward model needs the pictures before and after the edit"
        )
    (question,) = rubric.questions(sample, to_rgb(before), after)

    def read(text: str) -> tuple[float, float] | None:
        try:
            trace = question.read(text)
        except Unreadable:
            return None
        return float(trace["score"]), float(trace["said"])

    return ModelRequest(parts=question.parts), read


@dataclass(frozen=True)
class TraceScorer:
    """`repeats` traces of each edit are drawn at `temperature` (0: one, greedy), and the score is the mean of the readable ones
    (avg@K); None where there is none."""

    backend: Backend
    rubric: RRMRubric
    max_new_tokens: int
    temperature: float = 0.0
    repeats: int = 1
    seed: int = 0

    def __call__(self, samples: Sequence[EditSample], pictures: Sequence[Image.Image]) -> list[float | None]:
        """Scores from 0 to 10, by the rubric's scoring."""
        return [score for score, _ in self.both(samples, pictures)]

    def both(
        self, samples: Sequence[EditSample], pictures: Sequence[Image.Image]
    ) -> list[tuple[float | None, float | None]]:
        """The same, each with the score that the traces themselves say."""
        if self.repeats > 1 and self.temperature == 0:
            raise BadInput(f"{self.repeats} greedy traces are all the same; set a temperature above 0, or one trace")
        if not samples:
            return []
        asked = [_ask(self.rubric, sample, picture) for sample, picture in zip(samples, pictures, strict=True)]
        sampling = Sampling(self.max_new_tokens, self.temperature, seed=self.seed)
        requests = [request for request, _ in asked]
        answers = self.backend.generate(requests, self.repeats, sampling)
        texts = [[c.text for c in row] for row in answers]
        if self.rubric.scoring == LOGITS:
            told = [request for request, row in zip(requests, answers, strict=True) for _ in row]
            flat = iter(with_expected(self.backend, told, [c for row in answers for c in row]))
            texts = [[next(flat) for _ in row] for row in answers]
        return [means([read(text) for text in row]) for (_, read), row in zip(asked, texts, strict=True)]


def means(scores: Sequence[tuple[float, float] | None]) -> tuple[float | None, float | None]:
    """Of the readable ones."""
    readable = [s for s in scores if s is not None]
    if not readable:
        return None, None
    by_scoring, said = zip(*readable, strict=True)
    return sum(by_scoring) / len(readable), sum(said) / len(readable)


__all__ = ["Score", "TraceScorer", "ask"]
