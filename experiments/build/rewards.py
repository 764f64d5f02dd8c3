"""What a training maximises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conf.schema import RewardConfig, RunConfig
from experiments.build.editors import make_editor
from experiments.build.judges import make_judge

if TYPE_CHECKING:
    from agents.sequencer import Sequencer
    from rewards.compose import RewardSpec
    from rl.text_rollouts import RewardFn


def make_reward(config: RewardConfig) -> RewardSpec:
    from rewards.compose import RewardSpec

    return RewardSpec.from_weights({k: float(v) for k, v in vars(config.weights).items()})


def reward_function(spec: RewardSpec, config: RunConfig, sequencer: Sequencer) -> RewardFn:
    """What GRPO calls; the picture is only made and judged where the reward asks for it."""
    from agents.editing import EditingAgent
    from rewards.outcome import OutcomeReward

    outcome = None
    if spec.needs_outcome:
        editing = EditingAgent(make_editor(config.editor, config.engine, reward_path=True), config.execution.name)
        outcome = OutcomeReward(sequencer, editing, make_judge(config.judge, config.engine, config.paths.outputs))
    return lambda samples, texts, seeds: spec.score_batch(samples, texts, seeds, outcome)


__all__ = ["make_reward", "reward_function"]
