"""What a training maximises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.errors import BadInput
from common.parts import Part
from common.ranges import number
from conf.parts import build
from experiments.build.editors import make_editor
from experiments.build.judges import make_judge
from experiments.build.scorers import Scores, trace_scorer

if TYPE_CHECKING:
    from agents.editing import EditingAgent
    from agents.sequencer import Sequencer
    from conf.schema import RunConfig
    from judges.base import Judge
    from rl.text_rollouts import RewardFn


@dataclass(frozen=True)
class RewardTools:
    """What a reward may use besides the completions; editor and judge are only loaded when they are called for."""

    sequencer: Sequencer
    editing: Callable[[], EditingAgent]
    judge: Callable[[], Judge]
    rrm: Callable[[str], Scores]  # the reward model in a folder; "": that of `rrm.checkpoint`


@dataclass
class RewardWeights:
    """Relative weights of the components (normalised to sum 1). Any of them can be set: reward.weights.action=0.5"""

    format: float = number(0.0, 0, 1e6)
    action: float = number(0.0, 0, 1e6)
    subject: float = number(0.0, 0, 1e6)
    goal: float = number(0.0, 0, 1e6)
    linked: float = number(0.0, 0, 1e6)
    soft: float = number(0.0, 0, 1e6)
    exact: float = number(0.0, 0, 1e6)
    outcome: float = number(0.0, 0, 1e6)


@dataclass
class WeightedReward(Part):
    """A weighted mean of the components of rewards/compose.py."""

    name: str
    weights: RewardWeights = field(default_factory=RewardWeights)

    def __post_init__(self) -> None:
        values = vars(self.weights)
        if min(values.values()) < 0 or not 0 < sum(values.values()) < float("inf"):
            raise BadInput(f"reward.weights={values} cannot be used; give finite numbers of 0 or more, one above 0")

    @property
    def pictures(self) -> bool:  # type: ignore[override]
        return self.weights.outcome > 0

    def build(self, tools: RewardTools) -> RewardFn:
        from rewards.compose import RewardSpec
        from rewards.outcome import OutcomeReward

        spec = RewardSpec.from_weights(vars(self.weights))
        outcome = None
        if spec.needs_outcome:
            outcome = OutcomeReward(tools.sequencer, tools.editing(), tools.judge())
        return lambda samples, texts, seeds: spec.score_batch(samples, texts, seeds, outcome)


def reward_function(config: RunConfig, sequencer: Sequencer) -> RewardFn:
    """What GRPO calls. Values of a user's reward may be plain numbers, or None for one that could not be computed."""
    from agents.editing import EditingAgent
    from rewards.compose import Reward

    def editing() -> EditingAgent:
        return EditingAgent(make_editor(config.editor, config.engine, reward_path=True), config.execution.name)

    tools = RewardTools(
        sequencer,
        editing,
        lambda: make_judge(config.judge, config.engine, config.paths.outputs),
        lambda folder: trace_scorer(config, folder),
    )
    function = build(config.reward, tools)

    def reward(samples: Sequence[Any], texts: Sequence[str], seeds: Sequence[int]) -> list[Any]:
        values = function(samples, texts, seeds)
        return [v if hasattr(v, "total") else Reward(None if v is None else float(v), {}) for v in values]

    return reward


__all__ = ["RewardTools", "RewardWeights", "WeightedReward", "reward_function"]
