"""The numbers of session RL (Edit-R2), with their only defaults. Light to import, as rl/config.py is.

Published values (arXiv 2606.05950; the authors' code) stand in conf/algo/edit_r2.yaml."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from common.errors import BadInput
from common.ranges import MANY, check_fields, number
from rl.config import TextUpdateConfig, one_of
from rl.flow_config import NoisyStepsConfig
from rl.schedule import Trapezoid

BASELINES = ("pooled", "turn", "trajectory")
SCALES = ("rewards", "group", "none")
FILTERS = ("published", "intended", "none")


@dataclass
class SessionTextConfig(TextUpdateConfig):
    """The intent writer's side."""

    group: ClassVar[str] = "algo.text."
    weight: float = number(1.0, 0, 1e6)  # of the text loss in the objective; 0: the writer is not trained
    lr: float = number(1e-4, 0, 10)
    aggregation: str = "sequence"
    temperature: float = number(0.7, 0, 100, above=True)  # of sampled intents


@dataclass
class SessionFlowConfig(NoisyStepsConfig):
    """The editor's side."""

    group: ClassVar[str] = "algo.flow."
    weight: float = number(1.0, 0, 1e6)  # of the flow loss in the objective; 0: the editor is not trained
    same_noise: bool = True


@dataclass
class SessionRLConfig:
    """Sessions are units of rollouts: `group_size` trajectories of each, every turn of which has a reward."""

    group: ClassVar[str] = "algo."
    name: str = "edit_r2"
    steps: int = number(100, 1, MANY)
    sessions_per_step: int = number(16, 1, 1_000_000)
    group_size: int = number(6, 2, 100_000)  # G trajectories of each session
    turns: int = number(3, 1, 1000)  # of the training sessions
    # what a turn's reward is compared with. pooled: the mean over all turns of the group, as published | turn: the same turn of the
    # group | trajectory: the trajectory's mean reward with that of the others, given to all its turns (MT-EditFlow, 2606.01985)
    baseline: str = "pooled"
    # divide by the deviation of all rewards of the step (rewards, as published) | of those that are compared (group) | none
    advantage_scale: str = "rewards"
    advantage_eps: float = number(1e-4, 0, 1)  # beside the deviation
    advantage_clip: float = number(
        5.0, 0, 1e6, above=True
    )  # of the flow loss; the text's advantages are not cut, as published
    # after a turn whose instruction following is 0 the later turns of that trajectory are left out. published: of both losses |
    # intended: of the flow loss alone | none
    filter: str = "published"
    text: SessionTextConfig = field(default_factory=SessionTextConfig)
    flow: SessionFlowConfig = field(default_factory=SessionFlowConfig)
    checkpoint_every: int = number(5, 1, MANY, defines=False)
    keep_checkpoints: int = number(2, 1, 10_000, defines=False)
    # consecutive steps without a single usable reward before the run fails
    max_missing_steps: int = number(3, 1, MANY, defines=False)

    def __post_init__(self) -> None:
        check_fields(self, self.group)
        one_of(self, "baseline", BASELINES)
        one_of(self, "advantage_scale", SCALES)
        one_of(self, "filter", FILTERS)
        if not self.text.weight and not self.flow.weight:
            raise BadInput(f"{self.group}text.weight and {self.group}flow.weight are both 0; nothing would be trained")
        if self.text.weight and self.turns == 1:
            raise BadInput(f"{self.group}turns=1 has no intents to train on; set text.weight=0 or take more turns")
        self.schedule(self.text)

    @property
    def prompts_per_step(self) -> int:
        """The units of a step, as for every algorithm."""
        return self.sessions_per_step

    @property
    def largest_group(self) -> int:
        return self.group_size

    def schedule(self, side: SessionTextConfig | SessionFlowConfig) -> Trapezoid:
        """Of one side's learning rate."""
        return Trapezoid(side.lr, side.warmup_steps, side.decay_share, self.steps * side.updates_per_batch)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on to be continued."""
        values = {k: v for k, v in asdict(self).items() if k not in FREE}
        for side in ("text", "flow"):
            values[side] = {k: v for k, v in values[side].items() if k not in FREE_OF_SIDES}
        decays = self.text.decay_share or self.flow.decay_share
        return values | ({"decays_to": self.steps} if decays else {})


# What may change between a checkpoint and its resumption; all else defines the training.
FREE = ("steps", "checkpoint_every", "keep_checkpoints", "max_missing_steps", "name")
FREE_OF_SIDES = (
    "micro_batch_size",
    "micro_batch_tokens",
    "rollout_batch_size",
    "shared_prefix",
    "attention",
    "fused",
    "gradient_checkpointing",
)

__all__ = ["SessionFlowConfig", "SessionRLConfig", "SessionTextConfig"]
