"""The questions that rubrics put to models, and the replies. Rubrics are independent of services, and services of rubrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadData


class Unreadable(BadData):
    """A reply without the values that the question needs; it is requested once more, then the verdict is invalid."""


@dataclass(frozen=True)
class Encoding:
    """How a protocol sends its pictures; part of what a cached reply is kept under."""

    format: str = "png"  # png | jpeg
    quality: int = 95  # of jpeg
    longest: int | None = 1024  # pixels; a larger picture is made smaller, never larger
    detail: str | None = None  # the service's own key: low | high; None: not sent


@dataclass(frozen=True)
class JudgeSampling:
    """How a model answers. None leaves a setting to the service, which is recorded as such."""

    temperature: float | None = 0.0
    top_p: float | None = None
    top_k: int | None = None  # local models and servers that know it; left out elsewhere
    max_tokens: int = 1024
    seed: int | None = 0


@dataclass(frozen=True)
class Question:
    """One call: text and pictures in order, and how its reply is read."""

    name: str  # within its rubric, e.g. "sc"
    parts: tuple[str | Image.Image, ...]
    read: Callable[[str], Mapping[str, Any]] = field(compare=False)  # raises Unreadable saying what is missing
    system: str = ""
    schema: Mapping[str, Any] | None = None  # JSON schema of the reply, used where the service offers structured output
    encoding: Encoding = Encoding()
    # words of which one is to be the first token of the answer: the reply is their probabilities (judges/choices.py), and nothing
    # is generated; only a local model can tell them
    choices: tuple[str, ...] = ()
    # the reply gets a last line with the score that the model expects (judges/reasoning/expected.py); a local model alone tells it
    expects_score: bool = False


@dataclass(frozen=True)
class Usage:
    """What calls cost. `dollars` by the configured prices; 0 for local models."""

    calls: int = 0
    cached: int = 0  # answered from the cache, without a call
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.cached + other.cached,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.dollars + other.dollars,
        )


@dataclass(frozen=True)
class Reply:
    """`text` is None where `reason` says why: refused by a content filter, given up after bounded retries, or `cut` off by
    max_tokens (such a reply counts as unreadable and may be requested once more)."""

    text: str | None
    reason: str = ""
    refused: bool = False
    cut: bool = False
    usage: Usage = Usage()


class BudgetSpent(Exception):
    """Raised by a client before a call that the budget no longer covers; the evaluation stops cleanly, resumable."""


class Client(Protocol):
    """Answers questions; safe to use from many threads, at most `concurrency` of which wait for it at a time."""

    concurrency: int
    model: str  # pinned name, shown in reports

    def ask(self, question: Question, sampling: JudgeSampling, repeat: int = 0) -> Reply:
        """The reply. `repeat` tells equal questions apart (k repeats, asking again), also in the cache.

        Raises BadInput for what concerns all questions alike (no key, key rejected), BudgetSpent.
        """
        ...

    @property
    def usage(self) -> Usage:
        """What this client has used so far."""
        ...


class Rubric(Protocol):
    """A judging protocol: which questions, how replies are read, how they make scores."""

    name: str
    scores: tuple[str, ...]  # keys of a verdict's scores; "overall" (0 to 10) is always there, others where they apply
    scales: Mapping[str, float]  # highest value of each score (10, or 5 where the protocol says so)
    sampling: JudgeSampling  # the protocol's own
    repeats: int  # the protocol's own number of passes over all questions
    version: str  # changes with any word of its prompts; shown in reports beside the scores

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        """The questions about one edit. Raises BadInput where the item lacks what the protocol needs (item.facts)."""
        ...

    def score(self, answers: Mapping[str, Mapping[str, Any]], item: EditSample) -> Mapping[str, float]:
        """Scores of one pass, from what each question's `read` returned, by the question's name."""
        ...

    def combine(self, passes: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """Scores over the passes: median by default, the mean where the protocol says avg@K."""
        ...


__all__ = ["BudgetSpent", "Client", "Encoding", "Question", "Reply", "Rubric", "JudgeSampling", "Unreadable", "Usage"]
