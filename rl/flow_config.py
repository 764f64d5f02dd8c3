"""The numbers of Flow-GRPO and DiffusionNFT, with their only defaults. Light to import, as rl/config.py is.

The defaults are those of the papers' own code for FLUX.1 Kontext; conf/algo/*.yaml are the published variants.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from common.errors import BadInput
from common.ranges import MANY, RANGE, Range, check_fields, check_number, number
from rl.config import LoraConfig, LossConfig, OptimizerConfig, one_of
from rl.schedule import Trapezoid

KINDS = ("sde", "dance", "cps")  # of noisy steps, see editors/steps.py
SCALES = ("group", "batch", "prompt", "none")
WINDOWS = ("fixed", "random", "sliding")
OLD_DECAYS = ("ramp", "late_ramp", "none")
WEIGHT = Range(-1e6, 1e6)


@dataclass
class EMAConfig:
    """The moving average of the trained weights, which is what is saved in the end (rl/moving_average.py)."""

    decay: float = number(0.0, 0, 1, below=True)  # 0: off, the last weights are saved
    every: int = number(8, 1, MANY)  # steps between two of its updates

    def __post_init__(self) -> None:
        check_fields(self, "ema.")


@dataclass
class GroupFilterConfig:
    """Groups that are left out of the update (UniWorld-V2, arXiv 2510.16888: std above 0.05 and mean below 0.9)."""

    min_std: float = number(0.0, 0, 1e6)  # of a group's rewards, population; 0: off
    # a group with a greater mean reward is left out, since it can do the edit already; null: off
    max_mean: float | None = number(None, -1e6, 1e6)

    def __post_init__(self) -> None:
        check_fields(self, "filter.")


@dataclass
class WatchConfig:
    """What is watched besides the reward, and when a training that only pleases the reward ends (rl/watch.py)."""

    pictures: int = number(16, 0, 1_000_000)  # of a step that the watching judge scores, the first ones of each group
    every: int = number(1, 1, MANY)  # steps
    # k: the means of the last k scored steps are compared with those of the k before them; 0: training never ends early
    window: int = number(0, 0, 100_000)
    reward_rise: float = number(0.02, 0, 1e6)  # the end comes where the reward rose by at least this
    score_fall: float = number(0.02, 0, 1e6)  # while the watching judge's score fell by at least this

    def __post_init__(self) -> None:
        check_fields(self, "watch.")


@dataclass
class FlowUpdateConfig(OptimizerConfig):
    """How edits are sampled and how the editor is updated on them."""

    lr: float = number(3e-4, 0, 10)
    weight_decay: float = number(1e-4, 0, 10)
    sampling_steps: int = number(6, 2, 1000)  # S, of the rollouts; the editor's own number of steps is for evaluation
    same_noise: bool = False  # the edits of a group start from the same noise
    updates_per_batch: int = number(1, 1, 10_000)  # passes over the whole batch, one optimiser step each
    micro_batch_size: int = number(8, 1, 1_000_000)  # edits in one forward of the update; does not change it
    rollout_batch_size: int = number(16, 1, 1_000_000)  # edits that are sampled together
    lora: LoraConfig = field(default_factory=LoraConfig)
    gradient_checkpointing: bool = False  # less memory, more time
    decay_share: float = number(0.0, 0, 1)  # share of the updates at the end in which lr goes linearly to 0


@dataclass
class FlowTrainingConfig(FlowUpdateConfig):
    """What both algorithms have."""

    group: ClassVar[str] = "algo."
    name: str = "flow"  # of the variant, for reports; no code depends on it
    steps: int = number(100, 1, MANY)
    prompts_per_step: int = number(16, 1, 1_000_000)  # P, pictures with their instructions
    group_size: int = number(24, 2, 100_000)  # G edits of each; one alone has no advantage
    advantage_scale: str = (
        "group"  # divide by the standard deviation of the group | batch | prompt (all its rewards so far) | none
    )
    advantage_eps: float = number(1e-4, 0, 1)  # beside the standard deviation
    advantage_clip: float = number(5.0, 0, 1e6, above=True)  # advantages beyond +- this are cut to it
    # weights of the reward's components, whose advantages are added up; empty: the reward's own total
    reward_weights: dict[str, float] = field(default_factory=dict, metadata={RANGE: WEIGHT})
    filter: GroupFilterConfig = field(default_factory=GroupFilterConfig)
    ema: EMAConfig = field(default_factory=EMAConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    checkpoint_every: int = number(5, 1, MANY, defines=False)
    keep_checkpoints: int = number(2, 1, 10_000, defines=False)
    # consecutive steps without a single usable reward before the run fails
    max_missing_steps: int = number(3, 1, MANY, defines=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "advantage_scale", SCALES)
        for component, weight in self.reward_weights.items():
            check_number(weight, WEIGHT, f"{self.group}reward_weights.{component}")
        self.schedule()

    @property
    def largest_group(self) -> int:
        return self.group_size

    def schedule(self) -> Trapezoid:
        return Trapezoid(self.lr, self.warmup_steps, self.decay_share, self.steps * self.updates_per_batch)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on to be continued."""
        values = {k: v for k, v in asdict(self).items() if k not in FREE}
        return values | ({"decays_to": self.steps} if self.decay_share else {})


@dataclass
class NoisyStepsConfig(FlowUpdateConfig):
    """Which denoising steps have noise, and the loss on them (rl/flow_update.py)."""

    noise_kind: str = "sde"  # sde (Flow-GRPO) | dance (DanceGRPO, arXiv 2505.07818) | cps (arXiv 2509.05952)
    noise_level: float = number(0.9, 0, 100, above=True)  # of the noisy steps; for cps at most 1
    window_size: int = number(0, 0, 1000)  # noisy steps, which alone are trained; 0: every step but the last
    window: str = "fixed"  # fixed | random (Flow-GRPO-Fast) | sliding (MixGRPO, arXiv 2507.21802)
    window_first: int = number(0, 0, 1000)  # the first step of a fixed window, and of a sliding one at the start
    # a random window lies within this first share of the steps; of fewer steps than that it needs, the first ones
    window_range: float = number(0.5, 0, 1, above=True)
    window_stride: int = number(
        1, 1, 1000
    )  # a sliding window moves on by so many steps, and from the end to the start,
    window_every: int = number(25, 1, MANY)  # after so many steps of training
    # share of the noisy steps that is trained, drawn anew at each step of training (DanceGRPO: 0.6); 1: all of them
    trained_share: float = number(1.0, 0, 1, above=True)
    # ratios are clipped to [1 - clip_low, 1 + clip_high]; log-probabilities are means over the latents, so that ratios are near 1
    clip_low: float = number(1e-4, 0, 1)
    clip_high: float = number(1e-4, 0, 1e6)
    kl_coef: float = number(0.0, 0, 1e3)  # of the KL to the start in the loss; 0: off
    kl_exact: bool = False  # divide it by the variance of the step; false: without the time step, as published
    # edits per step whose KL to the start is logged where the loss has no such term; 0: off, and no copy of the start is kept
    kl_log_edits: int = number(0, 0, 1_000_000, defines=False)
    ratio_normalisation: bool = False  # GRPO-Guard (arXiv 2510.22319): ratios of all steps with mean 1 and one spread
    gradient_reweighting: bool = False  # GRPO-Guard: the loss of a step is divided by its length in time

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "noise_kind", KINDS)
        one_of(self, "window", WINDOWS)
        if self.noise_kind == "cps" and self.noise_level > 1:
            raise BadInput(f"{self.group}noise_level={self.noise_level}: with noise_kind=cps it is at most 1")
        room = self.sampling_steps - 1  # the noise of the last step would stay in the picture
        if self.window_first + max(1, self.window_size) > room:
            raise BadInput(
                f"{self.group}window_first={self.window_first} and window_size={self.window_size} do not fit the first {room} of "
                f"sampling_steps={self.sampling_steps} steps; the last one has no noise"
            )

    def loss(self) -> LossConfig:
        """The settings of `rl.losses.policy_loss`: its clipped ratio per step, and a mean over all steps."""
        return LossConfig(
            clip_low=self.clip_low, clip_high=self.clip_high, kl_coef=self.kl_coef, dual_clip=None, tis_cap=None
        )


@dataclass
class FlowGRPOConfig(NoisyStepsConfig, FlowTrainingConfig):
    """Flow-GRPO (arXiv 2505.05470) and its variants (rl/flow_grpo.py)."""

    name: str = "flow_grpo"


@dataclass
class NFTConfig(FlowTrainingConfig):
    """DiffusionNFT (arXiv 2509.16117), which needs no noisy steps and no log-probabilities (rl/nft.py)."""

    name: str = "nft"
    group_size: int = number(12, 2, 100_000)
    beta: float = number(1.0, 0, 100, above=True)  # b: how far v+ and v- lie from the old velocity
    # how slowly the old policy follows: its share of itself after step k. ramp: 0.001 k, at most 0.5 | late_ramp: 0 until step 75,
    # then 0.0075 (k - 75), at most 0.999 | none: 0
    old_decay: str = "ramp"
    trained_times: int = number(
        0, 0, 1000
    )  # times of the schedule at which each edit is trained; 0: all sampling_steps
    kl_weight: float = number(1e-4, 0, 1e3)  # of the squared distance to the start's velocity

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "old_decay", OLD_DECAYS)
        if self.trained_times > self.sampling_steps:
            raise BadInput(
                f"{self.group}trained_times={self.trained_times} is more than sampling_steps={self.sampling_steps}"
            )


# What may change between a checkpoint and its resumption; all else defines the training.
FREE = ("steps", "checkpoint_every", "keep_checkpoints", "micro_batch_size", "rollout_batch_size", "gradient_checkpointing",
        "max_missing_steps", "name", "watch", "kl_log_edits")  # fmt: skip

__all__ = [
    "EMAConfig",
    "FlowGRPOConfig",
    "FlowTrainingConfig",
    "FlowUpdateConfig",
    "GroupFilterConfig",
    "NFTConfig",
    "NoisyStepsConfig",
    "WatchConfig",
]
