"""What a judge is: two pictures and what was wanted in, a verdict out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from benchmarks.base import Edit, EditSample

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
    """Scores one edited picture. `wanted` is the sample, or its gold edits alone."""

    def judge(self, before: Image.Image, after: Image.Image, wanted: EditSample | Sequence[Edit]) -> Verdict: ...


__all__ = ["ASPECTS", "OVERALL", "Judge", "Verdict"]
