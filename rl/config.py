"""Every number of a training, with its only default. Light to import: the command line is checked before torch is loaded.

The classes are the `algo` group of the command line, so their fields have types that a configuration file knows. Sizes count
sequences unless they say otherwise. Sources of methods are named where they are implemented (`rl/losses.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from common.errors import BadInput
from common.parts import incidental
from rl.schedule import Cosine, Trapezoid

KL_ESTIMATORS = ("k1", "k2", "k3")
AGGREGATIONS = ("token", "sequence", "constant")


@dataclass
class OptimizerConfig:
    """One update of an engine. Weight decay touches matrices only (no norms, no biases)."""

    group: ClassVar[str] = ""  # where its keys are on the command line, for messages
    optimizer: str = "adamw"  # adamw | muon (Muon on hidden matrices, AdamW on the rest; engine=torch only)
    lr: float = 1e-6
    warmup_steps: int = 0  # updates in which lr rises linearly
    weight_decay: float = 0.0
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    max_grad_norm: float = 1.0  # of the whole gradient; a longer one is shortened to it

    def __post_init__(self) -> None:
        _one_of(self, "optimizer", ("adamw", "muon"))
        if not self.lr >= 0 or not self.max_grad_norm > 0 or self.warmup_steps < 0:
            raise BadInput(
                f"{self.group}lr {self.lr} must be >= 0, max_grad_norm {self.max_grad_norm} > 0, "
                f"warmup_steps {self.warmup_steps} >= 0"
            )
        if len(self.betas) != 2:
            raise BadInput(f"{self.group}betas needs two numbers, not {list(self.betas)}")


@dataclass
class LossConfig:
    """The loss of policy gradients (`rl/losses.py`). The defaults are GRPO's as EasyR1 and verl train it."""

    group: ClassVar[str] = ""
    ratio_level: str = "token"  # token | sequence (one length-normalised ratio per answer, as in GSPO)
    clip_form: str = "ppo"  # ppo: the smaller of A r and A clip(r) | weight: clip(r) as a constant weight (CISPO)
    clip_low: float = 0.2  # ratios are clipped to [1 - clip_low, 1 + clip_high]
    clip_high: float = 0.3
    dual_clip: float | None = None  # above 1: bounds the loss of a negative advantage; null: off
    aggregation: str = "token"  # what the sum of losses is divided by: token | sequence | constant
    kl_coef: float = 0.0  # of the KL to the start in the loss; 0: off
    kl_estimator: str = "k3"  # k1 | k2 | k3
    tis_cap: float | None = 2.0  # truncated importance weights, trainer over rollout engine; null: no correction
    tis_level: str = "token"  # token | sequence (one weight per answer, the product over its tokens)

    def __post_init__(self) -> None:
        _one_of(self, "ratio_level", ("token", "sequence"))
        _one_of(self, "clip_form", ("ppo", "weight"))
        _one_of(self, "aggregation", AGGREGATIONS)
        _one_of(self, "kl_estimator", KL_ESTIMATORS)
        _one_of(self, "tis_level", ("token", "sequence"))
        if not (0 <= self.clip_low <= 1 and self.clip_high >= 0):
            raise BadInput(
                f"{self.group}clip_low must lie in [0, 1] and clip_high be at least 0, not {self.clip_low} and {self.clip_high}"
            )
        if self.dual_clip is not None and not self.dual_clip > 1:
            raise BadInput(f"{self.group}dual_clip must be greater than 1 or null, not {self.dual_clip}")
        if self.dual_clip is not None and self.clip_form == "weight":
            raise BadInput(
                f"{self.group}dual_clip bounds the loss of clip_form=ppo; with clip_form=weight it must be null"
            )
        if not self.kl_coef >= 0:
            raise BadInput(f"{self.group}kl_coef must be 0 or more, not {self.kl_coef}")
        if self.tis_cap is not None and not self.tis_cap > 0:
            raise BadInput(f"{self.group}tis_cap must be positive or null, not {self.tis_cap}")


@dataclass
class LoraConfig:
    """Adapters in place of whole matrices, in every linear layer of every block (rl/policies/lora.py)."""

    rank: int = 0  # 0: everything is trained
    alpha: int = 32  # the update is scaled by alpha / rank

    def __post_init__(self) -> None:
        if self.rank < 0 or not self.alpha > 0:
            raise BadInput(
                f"LoRA needs a rank of 0 (off) or more and a positive alpha, not {self.rank} and {self.alpha}"
            )


@dataclass
class TextPolicyConfig:
    """How the trained VLM is run (`rl/policies/text.py`)."""

    shared_prefix: bool = True  # what completions of a prompt have in common passes once; false: the reference path
    frozen_vision: bool = False  # leave the vision tower as it is
    vision_cache_mib: int = (
        0  # main memory for what a frozen tower saw, so that a picture passes once in a run; 0: in a step
    )
    lora: LoraConfig = field(default_factory=LoraConfig)
    gradient_checkpointing: bool = False  # less memory, more time
    temperature: float = 1.0  # of rollouts and of log-probabilities; rollouts are never truncated (top_p=1, top_k off)

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise BadInput(
                f"temperature must be a positive number, not {self.temperature}: greedy answers have no log-probability"
            )


@dataclass
class SFTConfig(OptimizerConfig):
    """Supervised training (`rl/sft.py`). In `algo.sft` it comes before GRPO; `steps` 0 leaves it out."""

    group: ClassVar[str] = "algo.sft."
    lr: float = 5e-4
    warmup_steps: int = 50
    weight_decay: float = 0.01
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    steps: int = 0
    batch_size: int = 32  # examples in one update
    micro_batch_size: int = 32  # at most so many examples in one forward pass; does not change the update
    final_lr_share: float = 0.1  # cosine decay ends at this share of lr
    vision: bool = True  # whether the vision tower learns too
    checkpoint_every: int = incidental(200)
    keep_checkpoints: int = incidental(2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 0 or self.batch_size < 1 or self.micro_batch_size < 1:
            raise BadInput(f"{self.group}: supervised training needs steps >= 0 and batch sizes >= 1, not {self}")
        _at_least(1, self, "checkpoint_every", "keep_checkpoints")

    def schedule(self) -> Cosine:
        return Cosine(self.lr, self.steps, self.warmup_steps, self.final_lr_share)


@dataclass
class GRPOConfig(TextPolicyConfig, LossConfig, OptimizerConfig):
    """GRPO and its variants (`rl/grpo.py`): conf/algo/<variant>.yaml sets what a variant changes."""

    group: ClassVar[str] = "algo."
    name: str = "grpo"  # of the variant, for reports; no code depends on it
    steps: int = 100
    prompts_per_step: int = 16  # P
    group_size: int = 8  # G completions of each
    advantage_scale: str = "group"  # divide advantages by the standard deviation of their group | batch | none
    advantage_clip: float | None = None  # advantages beyond +- this are cut to it; null: none
    updates_per_batch: int = 1  # passes over the whole batch, one optimiser step each
    micro_batch_size: int = 32  # sequences in one forward; does not change the update
    micro_batch_tokens: int = 0  # and at most so many tokens, prompts included; 0: no such limit
    decay_share: float = 0.0  # share of the updates at the end in which lr goes linearly to 0
    kl_log_sequences: int = (
        16  # completions per step whose KL to the start is logged; 0: off (with kl_coef=0 no reference)
    )
    dynamic_sampling: bool = False  # draw other prompts in place of those whose rewards do not differ
    max_tries: int = 4  # draws of a step's prompts under dynamic sampling, the first included
    mask_truncated: bool = False  # answers cut by max_new_tokens carry no gradient
    max_offpolicy_steps: int = (
        0  # L: while step s trains, rollouts of step s + L are drawn with its weights; 0: synchronous
    )
    checkpoint_every: int = incidental(5)
    keep_checkpoints: int = incidental(2)
    max_missing_steps: int = incidental(3)  # consecutive steps without a single usable reward before the run fails
    sft: SFTConfig = field(default_factory=SFTConfig)  # supervised training before

    def __post_init__(self) -> None:
        for base in (TextPolicyConfig, LossConfig, OptimizerConfig):
            base.__post_init__(self)
        _at_least(1, self, "steps", "prompts_per_step", "updates_per_batch", "micro_batch_size", "max_tries",
                  "checkpoint_every", "keep_checkpoints", "max_missing_steps")  # fmt: skip
        _at_least(0, self, "micro_batch_tokens", "kl_log_sequences", "max_offpolicy_steps", "vision_cache_mib")
        _at_least(2, self, "group_size")  # a group of one has no advantage
        _one_of(self, "advantage_scale", ("group", "batch", "none"))
        if self.advantage_clip is not None and not self.advantage_clip > 0:
            raise BadInput(f"{self.group}advantage_clip must be positive or null, not {self.advantage_clip}")
        if self.max_offpolicy_steps and self.tis_cap is None:
            raise BadInput(
                f"{self.group}max_offpolicy_steps={self.max_offpolicy_steps} trains on answers of older weights; they need the "
                "truncated importance weights that tis_cap turns on"
            )
        self.schedule()

    def supervised(self) -> SFTConfig:
        """The numbers of the supervised training before; memory decides how many sequences pass at a time there, too."""
        return replace(self.sft, micro_batch_size=min(self.micro_batch_size, self.sft.micro_batch_size))

    def schedule(self) -> Trapezoid:
        return Trapezoid(self.lr, self.warmup_steps, self.decay_share, self.steps * self.updates_per_batch)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on to be continued."""
        values = {k: v for k, v in asdict(self).items() if k not in FREE}
        end = {"decays_to": self.steps} if self.decay_share else {}  # a longer run would have had another schedule
        return values | end


# What may change between a checkpoint and its resumption; all else defines the training.
FREE = ("steps", "checkpoint_every", "keep_checkpoints", "micro_batch_size", "micro_batch_tokens", "shared_prefix",
        "gradient_checkpointing", "kl_log_sequences", "max_missing_steps", "name", "sft")  # fmt: skip


def _one_of(config: Any, name: str, choices: tuple[str, ...]) -> None:
    if (value := getattr(config, name)) not in choices:
        raise BadInput(f"{config.group}{name} must be one of {', '.join(choices)}, not {value!r}")


def _at_least(least: int, config: Any, *names: str) -> None:
    for name in names:
        if (value := getattr(config, name)) < least:
            raise BadInput(f"{config.group}{name} must be at least {least}, not {value}")


__all__ = ["GRPOConfig", "LoraConfig", "LossConfig", "OptimizerConfig", "SFTConfig", "TextPolicyConfig"]
