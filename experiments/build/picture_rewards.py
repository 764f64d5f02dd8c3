"""What an editor is trained for: the components of a reward of pictures. The same choices train a decomposer by its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.errors import BadInput
from common.parts import CHECKPOINT, Content, Machine, Part, incidental
from common.ranges import number
from conf.parts import construct
from experiments.build.judges import RewardModelJudge, SandboxJudge, make_judge
from experiments.build.rewards import RewardTools
from experiments.build.scorers import Scores

if TYPE_CHECKING:
    from judges.base import Judge
    from rl.flow_rollouts import PictureReward
    from rl.text_rollouts import RewardFn


@dataclass(frozen=True)
class PictureRewardTools:
    """What the reward of an edit may use; each is only loaded when it is called for."""

    rrm: Callable[[str], Scores]  # the reward model in this folder ("": the run's own), scores 0 to 10
    judge: Callable[[], Judge]


@dataclass
class PictureWeights:
    """Relative weights of the components. Any of them can be set: reward.weights.rrm=0.5"""

    rrm: float = number(0.0, 0, 1e6)  # the reasoning reward model
    judge: float = number(0.0, 0, 1e6)  # the judge of the run; judge=sandbox is the exact one
    change: float = number(0.0, 0, 1e6)  # how much of the picture changed, a proxy that can be gamed


@dataclass
class PictureRewardPart(Part):
    """A weighted mean of what is said of the edited picture. For a decomposer the plan is carried out first."""

    name: str
    checkpoint: str = incidental("")  # of the reward model; "": the one that this run trains
    weights: PictureWeights = field(default_factory=PictureWeights)

    pictures = True

    def contents(self) -> Iterator[Content]:
        if self.checkpoint:
            yield Content(self.checkpoint, CHECKPOINT)

    def missing(self, machine: Machine) -> Iterator[str]:
        if self.checkpoint:
            yield from RewardModelJudge("rrm", model=self.checkpoint).missing(machine)

    def build_pictures(self, tools: PictureRewardTools) -> PictureReward:
        """The reward of an editor."""
        from rewards.change import change
        from rewards.pictures import PictureRewards, judged, scaled

        weights = {k: w for k, w in vars(self.weights).items() if w > 0}
        makers: Mapping[str, Callable[[], Any]] = {
            "rrm": lambda: scaled(tools.rrm(self.checkpoint)),
            "judge": lambda: judged(tools.judge()),
            "change": lambda: change,
        }
        return PictureRewards({name: makers[name]() for name in weights}, weights)

    def build(self, tools: RewardTools) -> RewardFn:
        """The reward of a decomposer: what is said of the picture that its plan leads to."""
        from rewards.compose import RewardSpec
        from rewards.pictures import PlanReward

        spec = RewardSpec.named("outcome")
        rewards = self.build_pictures(PictureRewardTools(tools.rrm, tools.judge))
        outcome = PlanReward(tools.sequencer, tools.editing(), rewards)
        return lambda samples, texts, seeds: spec.score_batch(samples, texts, seeds, outcome)


def by_reward_model(config: Any) -> bool:
    """Whether a reasoning reward model is part of the reward."""
    part = construct(config.reward)
    return isinstance(part, PictureRewardPart) and part.weights.rrm > 0


def missing_reward(config: Any) -> Iterator[str]:
    """A line for a reward that no editor can be trained by, or whose reward model is not chosen."""
    part = construct(config.reward)
    if by_reward_model(config) and config.rrm is None:
        yield (
            f"a reward model for reward={config.reward.name}: choose one with rrm=tiny, or another of conf/rrm, or another reward"
        )
    if not callable(getattr(part, "build_pictures", None)) and config.reward.name != "outcome":
        yield (
            f"a reward of pictures: reward={config.reward.name} scores decompositions, and an editor is trained by its pictures; "
            "choose reward=rrm, judge, rrm_judge or outcome"
        )


def picture_reward(config: Any, rrm: Callable[[str], Scores], exact: Judge | None = None) -> PictureReward:
    """The reward of an editor. `reward=outcome` is the judge alone. `exact`: the sandbox's judge that is there already and stands
    for judge=sandbox. Raises BadInput for a reward of texts."""
    part = construct(config.reward)

    def judge() -> Judge:
        if exact is not None and isinstance(config.judge, SandboxJudge):
            return exact
        return make_judge(config.judge, config.engine, config.paths.outputs)

    tools = PictureRewardTools(rrm, judge)
    if callable(make := getattr(part, "build_pictures", None)):
        return make(tools)  # type: ignore[no-any-return]
    if getattr(part, "name", "") == "outcome":
        return PictureRewardPart("outcome", weights=PictureWeights(judge=1.0)).build_pictures(tools)
    raise BadInput(next(missing_reward(config)))


__all__ = [
    "PictureRewardPart",
    "PictureRewardTools",
    "PictureWeights",
    "by_reward_model",
    "missing_reward",
    "picture_reward",
]
