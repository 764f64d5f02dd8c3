"""What the rubrics share: prompts read once, a version from their words, passes combined, facts looked up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from statistics import fmean, median
from typing import Any

from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from judges.choices import GENERATED, LOGITS
from judges.prompt import load_prompt, version_of
from judges.question import JudgeSampling, Question, Rubric

Answers = Mapping[str, Mapping[str, Any]]  # of one pass: by the question's name, what its `read` returned


class PromptRubric(ABC):
    """A `Rubric` whose words lie in files: a subclass names them with their fields, writes `questions` and `score`."""

    name: str
    scores: tuple[str, ...]
    scales: Mapping[str, float]
    sampling: JudgeSampling = JudgeSampling()
    repeats: int = 1
    prompts: Mapping[str, tuple[str, ...]]  # file in judges/prompts without .txt -> its fields
    scorings: tuple[str, ...] = (GENERATED,)  # the ways in which its scores can come about
    scoring: str = GENERATED

    def __init__(self) -> None:
        self._prompts = {name: load_prompt(name, fields) for name, fields in self.prompts.items()}
        self.version = version_of(self._prompts.values())

    def fill(self, prompt: str, **values: str) -> str:
        return self._prompts[prompt].fill(**values)

    @abstractmethod
    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]: ...

    @abstractmethod
    def score(self, answers: Answers, item: EditSample) -> Mapping[str, float]: ...

    def combine(self, passes: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """The median of each score over the passes; of an even number, the mean of the middle two."""
        return _over(passes, median)


def scored_by(rubric: Rubric, scoring: str) -> Rubric:
    """The same rubric with scores that come about in this way (judges/choices.py). Raises BadInput where it has no such."""
    known = getattr(rubric, "scorings", (GENERATED,))
    if scoring not in known:
        able = "uniworld and rrm have both" if scoring == LOGITS else ""
        raise BadInput(
            f"judge.scoring={scoring}: the scores of the rubric {rubric.name} are {' or '.join(known)}"
            + (f"; {able}" if able else "")
        )
    if scoring == getattr(rubric, "scoring", GENERATED):
        return rubric
    changed: Any = copy(rubric)
    changed.scoring = scoring
    return changed


class AverageOverPasses:
    """For protocols whose score is avg@K: the mean over K passes, `overall` included (the mean of each pass's own)."""

    def combine(self, passes: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        return _over(passes, fmean)


def _over(passes: Sequence[Mapping[str, float]], how: Callable[[list[float]], float]) -> dict[str, float]:
    if not passes:
        raise BadInput("there is no pass to combine")
    if any(p.keys() != passes[0].keys() for p in passes):
        raise BadInput("the passes of one edit have different scores; they belong to different items")
    return {key: float(how([p[key] for p in passes])) for key in passes[0]}


def request_of(item: EditSample) -> str:
    """The item's request, which no protocol can do without. Raises BadInput."""
    if not item.request.strip():
        raise BadInput(f"item {item.id!r} has an empty request; there is nothing to judge an edit by")
    return item.request.strip()


def facts_of(item: EditSample) -> Mapping[str, Any]:
    """What a benchmark says about an item; nothing for samples of the sandbox."""
    return getattr(item, "facts", {})


__all__ = ["Answers", "AverageOverPasses", "PromptRubric", "facts_of", "request_of", "scored_by"]
