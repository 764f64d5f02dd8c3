"""Rewards of edited pictures, for editors that are trained: named components in [0, 1] and their weighted mean.

A component without a value (an unreadable trace, an invalid verdict) is missing, and so is then the mean of those that need it: it
carries no gradient, and is never 0. With `algo.reward_weights` the components are mixed as advantages instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from agents.editing import EditingAgent
from agents.sequencer import Sequencer
from benchmarks.base import Decomposition, EditSample
from common.errors import BadInput
from judges.base import Judge, judge_all
from rewards.compose import Reward
from rewards.outcome import carried_out, share_of

# samples and edited pictures -> a value in [0, 1] each, None where there is none
Component = Callable[[Sequence[EditSample], Sequence[Image.Image]], Sequence["float | None"]]


@dataclass(frozen=True)
class PictureRewards:
    """Called with (samples, pictures, seeds): one score each. `weights`: of the components that make up the total."""

    components: Mapping[str, Component]
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.weights) ^ set(self.components)):
            raise BadInput(f"the reward's components and weights differ in {', '.join(unknown)}")
        if not sum(self.weights.values()) > 0 or min(self.weights.values()) < 0:
            raise BadInput(f"the reward's weights {dict(self.weights)} must be 0 or more, one of them above 0")

    def __call__(
        self, samples: Sequence[EditSample], pictures: Sequence[Image.Image], seeds: Sequence[int]
    ) -> list[Reward]:
        values = {name: list(score(samples, pictures)) for name, score in self.components.items()}
        return [self._score({name: own[i] for name, own in values.items()}) for i in range(len(samples))]

    def _score(self, parts: dict[str, float | None]) -> Reward:
        known = [(weight, parts[name]) for name, weight in self.weights.items() if weight > 0]
        if any(value is None for _, value in known):
            return Reward(None, parts)
        total = sum(weight * value for weight, value in known if value is not None) / sum(w for w, _ in known)
        return Reward(total, parts)


class Scored(Protocol):
    """What a plan's reward needs of that of its picture."""

    @property
    def total(self) -> float | None: ...


Rewards = Callable[[Sequence[EditSample], Sequence[Image.Image], Sequence[int]], Sequence[Scored]]


@dataclass(frozen=True)
class PlanReward:
    """`rewards.compose.Outcome`: the plan is carried out, and its picture scored."""

    sequencer: Sequencer
    editing: EditingAgent
    rewards: Rewards

    def __call__(
        self, samples: Sequence[EditSample], decompositions: Sequence[Decomposition], seeds: Sequence[int]
    ) -> list[float | None]:
        pictures = carried_out(self.sequencer, self.editing, samples, decompositions, seeds)
        there = [i for i, picture in enumerate(pictures) if picture is not None]
        made = [picture for picture in pictures if picture is not None]
        scores = self.rewards([samples[i] for i in there], made, [seeds[i] for i in there])
        totals = dict(zip(there, [score.total for score in scores], strict=True))
        return [totals.get(i) for i in range(len(samples))]


def judged(judge: Judge) -> Component:
    """A judge's overall score as a share of the best one."""

    def score(samples: Sequence[EditSample], pictures: Sequence[Image.Image]) -> list[float | None]:
        return [share_of(verdict) for verdict in judge_all(judge, samples, pictures)]

    return score


def scaled(
    scores: Callable[[Sequence[EditSample], Sequence[Image.Image]], Sequence[float | None]], highest: float = 10.0
) -> Component:
    """Scores from 0 to `highest` as shares."""
    return lambda samples, pictures: [None if s is None else s / highest for s in scores(samples, pictures)]


__all__ = ["Component", "PictureRewards", "PlanReward", "judged", "scaled"]
