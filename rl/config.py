"""Every number of a training, with its only default. Light to import: the command line is checked before torch is loaded.

The classes are the `algo` group of the command line, so their fields have types that a configuration file knows. Sizes count
sequences unless they say otherwise. Sources of methods are named where they are implemented (`rl/losses.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from common.errors import BadInput
from common.parts import incidental
from common.ranges import MANY, check_fields, number
from rl.schedule import Cosine, Trapezoid

KL_ESTIMATORS = ("k1", "k2", "k3")
AGGREGATIONS = ("token", "sequence", "constant")


@dataclass
class OptimizerConfig:
    """One update of an engine. Weight decay touches matrices only (no norms, no biases)."""

    group: ClassVar[str] = ""  # where its keys are on the command line, for messages
    optimizer: str = "adamw"  # adamw | muon (Muon on hidden matrices, AdamW on the rest; engine=torch only)
    lr: float = number(1e-6, 0, 10)
    warmup_steps: int = number(0, 0, MANY)  # updates in which lr rises linearly
    weight_decay: float = number(0.0, 0, 10)
    betas: list[float] = number([0.9, 0.999], 0, 1, below=True)
    max_grad_norm: float = number(1.0, 0, 1e9, above=True)  # of the whole gradient; a longer one is shortened to it

    def __post_init__(self) -> None:
        check_fields(self, self.group)
        one_of(self, "optimizer", ("adamw", "muon"))
        if len(self.betas) != 2:
            raise BadInput(f"{self.group}betas needs two numbers, not {list(self.betas)}")


@dataclass
class LossConfig:
    """The loss of policy gradients (`rl/losses.py`). The defaults are GRPO's as EasyR1 and verl train it."""

    group: ClassVar[str] = ""
    ratio_level: str = "token"  # token | sequence (one length-normalised ratio per answer, as in GSPO)
    clip_form: str = "ppo"  # ppo: the smaller of A r and A clip(r) | weight: clip(r) as a constant weight (CISPO)
    # ratios are clipped to [1 - clip_low, 1 + clip_high]; with one update per batch they are 1, and nothing is ever clipped
    clip_low: float = number(0.2, 0, 1)
    clip_high: float = number(0.3, 0, 1e6)  # above clip_low: clip-higher
    # above 1: bounds the loss of a negative advantage; null: off
    dual_clip: float | None = number(None, 1, 1e6, above=True)
    aggregation: str = "token"  # what the sum of losses is divided by: token | sequence | constant
    kl_coef: float = number(0.0, 0, 1e3)  # of the KL to the start in the loss; 0: off
    kl_estimator: str = "k3"  # k1 | k2 | k3
    entropy_coef: float = number(0.0, 0, 1e3)  # of the entropy per token, which the loss then rewards; 0: off
    # truncated importance weights, trainer over rollout engine; null: no correction
    tis_cap: float | None = number(2.0, 0, 1e6, above=True)
    tis_level: str = "token"  # token | sequence (one weight per answer, the product over its tokens)

    def __post_init__(self) -> None:
        check_fields(self, self.group)
        one_of(self, "ratio_level", ("token", "sequence"))
        one_of(self, "clip_form", ("ppo", "weight"))
        one_of(self, "aggregation", AGGREGATIONS)
        one_of(self, "kl_estimator", KL_ESTIMATORS)
        one_of(self, "tis_level", ("token", "sequence"))
        if self.dual_clip is not None and self.clip_form == "weight":
            raise BadInput(
                f"{self.group}dual_clip bounds the loss of clip_form=ppo; with clip_form=weight it must be null"
            )


@dataclass
class LoraConfig:
    """Adapters in place of whole matrices, in every linear layer of every block (rl/policies/lora.py)."""

    rank: int = number(0, 0, 16_384)  # 0: everything is trained
    alpha: int = number(32, 1, 1_000_000)  # the update is scaled by alpha / rank

    def __post_init__(self) -> None:
        check_fields(self, "lora.")


@dataclass
class TextPolicyConfig:
    """How the trained VLM is run (`rl/policies/text.py`)."""

    group: ClassVar[str] = ""
    shared_prefix: bool = True  # what completions of a prompt have in common passes once; false: the reference path
    frozen_vision: bool = False  # leave the vision tower as it is
    # how answers of a prompt attend to what they share: flex, split or masks, all equal (rl/attention/forms.py); auto: by device
    attention: str = "auto"
    fused: str = "auto"  # liger-kernel's norms and activations on CUDA: true, false; auto: where it is installed
    # main memory for what a frozen tower saw, so that a picture passes once in a run; 0: in a step
    vision_cache_mib: int = number(0, 0, 2**24)
    lora: LoraConfig = field(default_factory=LoraConfig)
    gradient_checkpointing: bool = False  # less memory, more time
    # of rollouts and of log-probabilities, above 0: greedy answers have none; rollouts are never truncated (top_p=1, top_k off)
    temperature: float = number(1.0, 0, 100, above=True)

    def __post_init__(self) -> None:
        check_fields(self, self.group)
        self.fused = str(self.fused).lower()  # yaml reads true and false as such
        one_of(self, "attention", ("auto", "flex", "split", "masks"))
        one_of(self, "fused", ("auto", "true", "false"))


@dataclass
class PromptPoolConfig:
    """Earlier prompts that a step draws again, chosen by their pass rate (rl/prompts.py)."""

    size: int = number(0, 0, 1_000_000)  # at most so many are kept; 0: off, every step has new prompts
    new_share: float = number(0.5, 0, 1)  # of a step's prompts that are new ones
    # prompts are kept while the share of answers that passed is within these bounds
    lowest: float = number(0.0, 0, 1)
    highest: float = number(0.8, 0, 1)
    passed: float = number(0.999, 0, 1)  # an answer passes with a reward of this or more
    uses: int = number(4, 1, 1_000_000)  # a prompt is left out after it was drawn so often
    component: str = ""  # of the reward, whose value passes (as "subject"); empty: the reward itself
    group_size: int = number(0, 0, 100_000)  # completions of a prompt that is drawn again; 0: as many as of a new one

    def __post_init__(self) -> None:
        check_fields(self, "pool.")
        if self.group_size == 1:
            raise BadInput("pool.group_size=1 has no advantage; give 2 or more, or 0 for algo.group_size")
        if self.lowest > self.highest:
            raise BadInput(
                f"algo.pool.lowest={self.lowest} is above algo.pool.highest={self.highest}, so no pass rate is between them; "
                "lower the one or raise the other"
            )


@dataclass
class AnchorConfig:
    """A supervised term on examples of the start's own training, so that RL unlearns nothing (rl/anchors.py)."""

    examples: int = number(0, 0, 1_000_000)  # per update; 0: off
    weight: float = number(0.1, 0, 1e3)  # of their mean cross-entropy in the loss

    def __post_init__(self) -> None:
        check_fields(self, "anchor.")


@dataclass
class SFTConfig(OptimizerConfig):
    """Supervised training (`rl/sft.py`). In `algo.sft` it comes before GRPO; `steps` 0 leaves it out."""

    group: ClassVar[str] = "algo.sft."
    lr: float = number(5e-4, 0, 10)
    warmup_steps: int = number(50, 0, MANY)
    weight_decay: float = number(0.01, 0, 10)
    betas: list[float] = number([0.9, 0.98], 0, 1, below=True)
    steps: int = number(0, 0, MANY)
    batch_size: int = number(32, 1, 1_000_000)  # examples in one update
    # at most so many examples in one forward pass; does not change the update
    micro_batch_size: int = number(32, 1, 1_000_000)
    final_lr_share: float = number(0.1, 0, 1)  # cosine decay ends at this share of lr
    vision: bool = True  # whether the vision tower learns too
    gradient_checkpointing: bool = incidental(False)  # less memory, more time
    checkpoint_every: int = number(200, 1, MANY, defines=False)
    keep_checkpoints: int = number(2, 1, 10_000, defines=False)

    def __post_init__(self) -> None:
        super().__post_init__()

    def schedule(self) -> Cosine:
        return Cosine(self.lr, self.steps, self.warmup_steps, self.final_lr_share)


@dataclass
class TextUpdateConfig(TextPolicyConfig, LossConfig, OptimizerConfig):
    """An update of a language model on credited answers (`rl/text_update.py`)."""

    # whether the tokens of the thought get the advantage of their answer; false: only those behind it do
    thought_advantage: bool = True
    updates_per_batch: int = number(1, 1, 10_000)  # passes over the whole batch, one optimiser step each
    micro_batch_size: int = number(32, 1, 1_000_000)  # sequences in one forward; does not change the update
    micro_batch_tokens: int = number(0, 0, MANY)  # and at most so many tokens, prompts included; 0: no such limit
    decay_share: float = number(0.0, 0, 1)  # share of the updates at the end in which lr goes linearly to 0
    mask_truncated: bool = False  # answers cut by max_new_tokens carry no gradient

    def __post_init__(self) -> None:
        for base in (TextPolicyConfig, LossConfig, OptimizerConfig):
            base.__post_init__(self)


@dataclass
class GRPOConfig(TextUpdateConfig):
    """GRPO and its variants (`rl/grpo.py`): conf/algo/<variant>.yaml sets what a variant changes."""

    group: ClassVar[str] = "algo."
    name: str = "grpo"  # of the variant, for reports; no code depends on it
    steps: int = number(100, 1, MANY)
    prompts_per_step: int = number(16, 1, 1_000_000)  # P
    group_size: int = number(8, 2, 100_000)  # G completions of each; one alone has no advantage
    advantage_scale: str = "group"  # divide advantages by the standard deviation of their group | batch | none
    # advantages beyond +- this are cut to it; null: none
    advantage_clip: float | None = number(None, 0, 1e6, above=True)
    # completions per step whose KL to the start is logged; 0: off (with kl_coef=0 no reference)
    kl_log_sequences: int = number(16, 0, 1_000_000)
    dynamic_sampling: bool = False  # draw other prompts in place of those whose rewards do not differ
    max_tries: int = number(4, 1, 10_000)  # draws of a step's prompts under dynamic sampling, the first included
    # L: while step s trains, rollouts of step s + L are drawn with its weights; 0: synchronous
    max_offpolicy_steps: int = number(0, 0, 10_000)
    checkpoint_every: int = number(5, 1, MANY, defines=False)
    keep_checkpoints: int = number(2, 1, 10_000, defines=False)
    # consecutive steps without a single usable reward before the run fails
    max_missing_steps: int = number(3, 1, MANY, defines=False)
    anchor: AnchorConfig = field(default_factory=AnchorConfig)  # what must not be unlearnt
    pool: PromptPoolConfig = field(default_factory=PromptPoolConfig)  # prompts that are drawn again
    sft: SFTConfig = field(default_factory=SFTConfig)  # supervised training before

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "advantage_scale", ("group", "batch", "none"))
        if self.max_offpolicy_steps and self.tis_cap is None:
            raise BadInput(
                f"{self.group}max_offpolicy_steps={self.max_offpolicy_steps} trains on answers of older weights; they need the "
                "truncated importance weights that tis_cap turns on"
            )
        self.schedule()

    @property
    def largest_group(self) -> int:
        """Completions of one prompt, at most."""
        return max(self.group_size, self.pool.group_size if self.pool.size else 0)

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


@dataclass
class GCPOConfig(GRPOConfig):
    """GCPO (`rl/gcpo.py`). A prompt is a pair of edits, and `group_size` counts the traces of each of the two. Not published: all
    numbers but the advantages without division and the mean over each trace's tokens."""

    group: ClassVar[str] = "rrm.gcpo."
    name: str = "gcpo"
    prompts_per_step: int = number(8, 1, 1_000_000)  # pairs
    clip_high: float = number(0.2, 0, 1e6)
    aggregation: str = "sequence"
    advantage_scale: str = (
        "none"  # divide centred advantages by nothing, as the paper's formula | group, batch: by a standard deviation
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, used in (("pool.size", self.pool.size), ("sft.steps", self.sft.steps)):
            if used:
                raise BadInput(
                    f"{self.group}{key}={used} is for prompts of a decomposer; GCPO draws pairs in their order"
                )
        if not self.thought_advantage:
            raise BadInput(f"{self.group}thought_advantage=false: the reasoning of a reward model is what GCPO trains")


# What may change between a checkpoint and its resumption; all else defines the training.
FREE = ("steps", "checkpoint_every", "keep_checkpoints", "micro_batch_size", "micro_batch_tokens", "shared_prefix",
        "attention", "fused", "gradient_checkpointing", "kl_log_sequences", "max_missing_steps", "name", "sft")  # fmt: skip


def one_of(config: Any, name: str, choices: tuple[str, ...]) -> None:
    """Raises BadInput where a setting is none of its choices."""
    if (value := getattr(config, name)) not in choices:
        raise BadInput(f"{config.group}{name} must be one of {', '.join(choices)}, not {value!r}")


__all__ = [
    "AnchorConfig",
    "GCPOConfig",
    "GRPOConfig",
    "LoraConfig",
    "LossConfig",
    "OptimizerConfig",
    "PromptPoolConfig",
    "SFTConfig",
    "TextPolicyConfig",
    "TextUpdateConfig",
    "one_of",
]
