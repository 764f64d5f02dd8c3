"""The numbers of a training, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.errors import BadInput
from conf.schema import AlgoConfig

if TYPE_CHECKING:
    from rl.grpo import GRPOConfig
    from rl.policies.lora import Lora
    from rl.sft import SFTConfig


def grpo_config(algo: AlgoConfig, max_new_tokens: int, seed: int) -> GRPOConfig:
    from rl.grpo import GRPOConfig
    from rl.losses import LossConfig

    loss = LossConfig(
        variant=algo.variant,
        clip_low=algo.clip_low,
        clip_high=algo.clip_high,
        dual_clip=algo.dual_clip,
        kl_coef=algo.kl_coef,
        kl_estimator=algo.kl_estimator,
        tis_cap=algo.tis_cap,
        tis_level=algo.tis_level,
    )
    return GRPOConfig(
        steps=algo.steps,
        prompts_per_step=algo.prompts_per_step,
        group_size=algo.group_size,
        updates_per_batch=algo.updates_per_batch,
        micro_batch_size=algo.micro_batch_size,
        micro_batch_tokens=algo.micro_batch_tokens,
        shared_prefix=algo.shared_prefix,
        kl_log_sequences=algo.kl_log_sequences,
        max_offpolicy_steps=algo.max_offpolicy_steps,
        lr=algo.lr,
        warmup_steps=algo.warmup_steps,
        decay_share=algo.decay_share,
        weight_decay=algo.weight_decay,
        betas=_pair(algo.betas),
        max_grad_norm=algo.max_grad_norm,
        loss=loss,
        dynamic_sampling=algo.dynamic_sampling,
        max_tries=algo.max_tries,
        mask_truncated=algo.mask_truncated,
        temperature=algo.temperature,
        max_new_tokens=max_new_tokens,
        checkpoint_every=algo.checkpoint_every,
        seed=seed,
    )


def sft_config(algo: AlgoConfig) -> SFTConfig:
    from rl.sft import SFTConfig

    return SFTConfig(
        steps=algo.sft.steps,
        batch_size=algo.sft.batch_size,
        micro_batch_size=min(algo.micro_batch_size, algo.sft.batch_size),
        lr=algo.sft.lr,
        warmup=algo.sft.warmup,
        optimizer=algo.sft.optimizer,
    )


def lora(algo: AlgoConfig) -> Lora | None:
    """None where whole matrices are trained."""
    from rl.policies.lora import Lora

    return None if algo.lora.rank == 0 else Lora(algo.lora.rank, algo.lora.alpha)


def _pair(betas: Sequence[float]) -> tuple[float, float]:
    if len(betas) != 2:
        raise BadInput(f"algo.betas needs two numbers, not {list(betas)}")
    return float(betas[0]), float(betas[1])


__all__ = ["grpo_config", "sft_config", "lora"]
