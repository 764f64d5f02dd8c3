"""Reward from the edited picture: carry out the decomposition and let a judge score the result against the request.

The answer to "is a decomposition that scores well also one that edits well?" (arXiv 2603.08059 rewards text alone).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from agents.editing import EditingAgent
from agents.sequencer import Sequencer
from benchmarks.base import Decomposition, EditSample
from common.errors import BadInput
from common.pictures import to_rgb
from judges.base import OVERALL, Judge, Verdict, judge_all


@dataclass(frozen=True)
class OutcomeReward:
    """Called with (samples, decompositions, seeds): one score in [0, 1] each, None where the verdict is
    invalid or the editor gave no picture.

    `scale` is the judge's best overall score. Equal seeds for the completions of one prompt compare them fairly.
    """

    sequencer: Sequencer
    editing: EditingAgent
    judge: Judge
    aspect: str = "overall"
    scale: float = 10.0

    def __call__(
        self, samples: Sequence[EditSample], decompositions: Sequence[Decomposition], seeds: Sequence[int]
    ) -> list[float | None]:
        pictures = carried_out(self.sequencer, self.editing, samples, decompositions, seeds)
        whole = [(sample, picture) for sample, picture in zip(samples, pictures, strict=True) if picture is not None]
        judged = iter(judge_all(self.judge, [sample for sample, _ in whole], [picture for _, picture in whole]))
        return [None if picture is None else self._score(next(judged)) for picture in pictures]

    def _score(self, verdict: Verdict) -> float | None:
        return share_of(verdict, self.aspect, self.scale)


def carried_out(
    sequencer: Sequencer,
    editing: EditingAgent,
    samples: Sequence[EditSample],
    decompositions: Sequence[Decomposition],
    seeds: Sequence[int],
) -> list[Image.Image | None]:
    """The picture that each decomposition leads to, None where the editor gave none. Raises BadInput for a sample without a
    picture."""
    if not samples:
        return []
    images = []
    for sample in samples:
        if sample.image is None:
            raise BadInput(f"sample {sample.id!r} has no picture: a reward of pictures cannot be computed on it")
        images.append(to_rgb(sample.image))
    plans = sequencer.sequence(samples, decompositions, editing.execution)
    ids = [f"{sample.id}/{seed}" for sample, seed in zip(samples, seeds, strict=True)]
    edited = editing.run(ids, images, [plan.sub_requests for plan in plans])
    return [None if result.failure else result.pictures[-1] for result in edited]


def share_of(verdict: Verdict, aspect: str = OVERALL, scale: float = 10.0) -> float | None:
    """A verdict's score as a share of the best one, in [0, 1]; None where it has none."""
    value = verdict.scores.get(aspect) if verdict.valid else None
    if value is None or not math.isfinite(value):
        return None
    return min(1.0, max(0.0, value / scale))


__all__ = ["OutcomeReward", "carried_out", "share_of"]
