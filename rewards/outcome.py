"""Reward from the edited picture: carry out the decomposition and let a judge score the result against the request.

The answer to "is a decomposition that scores well also one that edits well?" (arXiv 2603.08059 rewards text alone).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
        if not samples:
            return []
        images = []
        for sample in samples:
            if sample.image is None:
                raise BadInput(f"sample {sample.id!r} has no picture: the reward 'outcome' cannot be computed on it")
            images.append(to_rgb(sample.image))
        plans = self.sequencer.sequence(samples, decompositions, self.editing.execution)
        ids = [f"{sample.id}/{seed}" for sample, seed in zip(samples, seeds, strict=True)]
        edited = self.editing.run(ids, images, [plan.sub_requests for plan in plans])
        whole = [(sample, result) for sample, result in zip(samples, edited, strict=True) if not result.failure]
        judged = iter(
            judge_all(self.judge, [sample for sample, _ in whole], [result.pictures[-1] for _, result in whole])
        )
        return [None if result.failure else self._score(next(judged)) for result in edited]

    def _score(self, verdict: Verdict) -> float | None:
        return share_of(verdict, self.aspect, self.scale)


def share_of(verdict: Verdict, aspect: str = OVERALL, scale: float = 10.0) -> float | None:
    """A verdict's score as a share of the best one, in [0, 1]; None where it has none."""
    value = verdict.scores.get(aspect) if verdict.valid else None
    if value is None or not math.isfinite(value):
        return None
    return min(1.0, max(0.0, value / scale))


__all__ = ["OutcomeReward", "share_of"]
