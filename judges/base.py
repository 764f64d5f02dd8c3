"""What a judge is: the pictures before and after an edit and the request in, a verdict out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from common.pictures import to_rgb
from judges.question import Usage

# The paper's three aspects (arXiv 2603.08059) and their summary; all 0 to 10.
ASPECTS = ("request_fulfilled", "content_preserved", "image_quality")
OVERALL = "overall"


@dataclass(frozen=True)
class Verdict:
    """Scores from 0 to 10. An invalid verdict has none: it is left out of means, counted, and says why."""

    scores: Mapping[str, float]
    valid: bool = True
    reason: str = ""
    raw: Any = field(
        default=None, compare=False, repr=False
    )  # what the scores came from: measurements, or a model's reply

    @classmethod
    def invalid(cls, reason: str, raw: Any = None) -> Verdict:
        return cls({}, False, reason, raw)


class Judge(Protocol):
    """Scores edited pictures, one at a time; safe to use from `concurrency` threads at a time."""

    @property
    def concurrency(self) -> int: ...

    @property
    def usage(self) -> Usage:
        """What its calls have cost so far."""
        ...

    def judge(self, before: Image.Image, after: Image.Image, sample: EditSample, /) -> Verdict:
        """The verdict on `after`; blocks until it is there. What a judge cannot score is an invalid verdict.

        Raises BadInput for what concerns all edits alike (a key that is rejected), BudgetSpent.
        """
        ...


def judge_all(judge: Judge, samples: Sequence[EditSample], pictures: Sequence[Image.Image]) -> list[Verdict]:
    """One verdict per edited picture, in order, from as many threads as the judge allows.

    Raises BadInput for a sample without a picture, and what the judge raises.
    """

    def one(sample: EditSample, after: Image.Image) -> Verdict:
        before = sample.image
        if before is None:
            raise BadInput(f"sample {sample.id!r} has no picture; a judge needs the pictures before and after the edit")
        return judge.judge(to_rgb(before), after, sample)

    if len(samples) != len(pictures):
        raise BadInput(f"{len(samples)} samples and {len(pictures)} pictures; give one picture for each sample")
    if judge.concurrency <= 1:
        return [one(sample, picture) for sample, picture in zip(samples, pictures, strict=True)]
    with ThreadPoolExecutor(judge.concurrency) as pool:
        return list(pool.map(one, samples, pictures))


__all__ = ["ASPECTS", "OVERALL", "Judge", "Verdict", "judge_all"]
