"""Policy-gradient losses on actions: tokens of an answer or steps of a denoising trajectory. Pure functions: tensors in, one
scalar and its metrics out.

Suffixes: B sequences, T actions. A loss is always a sum divided by a normaliser of the whole batch that the caller hands
in, so the split into micro-batches, accumulation steps and ranks cannot change the update.

What each setting of `LossConfig` does (conf/algo/*.yaml are the published combinations):

* ratio_level "token": r_t = exp(log p - log p_old) (GRPO, arXiv 2402.03300 eq. 3). "sequence": s = exp(mean_t log-ratio), token
  gradient through s exp(log p - sg log p) (GSPO-token, 2507.18071).
* clip_form "ppo": -min(A r, A clip(r, 1-low, 1+high)); high > low is DAPO's (2503.14476 eq. 8); `dual_clip` c bounds the loss
  of a negative advantage by -c A (1912.09729). "weight": -sg(clip(r)) A log p, so that clipped tokens keep a gradient (CISPO,
  2506.13585 eq. 4-5).
* aggregation "token": sum over tokens / tokens of the batch (verl's and EasyR1's). "sequence": mean over each sequence's
  tokens, then / sequences (the GRPO paper's). "constant": sum over tokens / (sequences x max_new_tokens) (Dr. GRPO,
  2503.20783).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from rl.config import LossConfig

Number: TypeAlias = float | Tensor

LOG_RATIO_MAX = 20.0  # verl's clamp: exp stays finite in fp32


@dataclass(frozen=True)
class LossInputs:
    """One micro-batch. Log-probabilities are those of the policy now (with gradient), of the trainer's policy that made the
    batch (`old`), of the rollout engine for the same actions (`rollout`), and of the frozen start (`ref`). mask_BT is True on
    actions that count. `normaliser` belongs to the whole batch.

    advantage_BT: per action, so that credit may differ by token, turn or denoising step; [B, 1] gives one to each sequence.
    weight_BT: factor of each action's loss, such as 0 for what a filter drops (the normaliser is the caller's); None: 1.
    kl_BT: KL to the reference in closed form (Gaussian steps), in place of the estimate from `ref`.
    A rollout log-probability that is no finite number says nothing about its action, whose importance ratio is then 1.
    """

    logp_BT: Tensor
    old_logp_BT: Tensor
    advantage_BT: Tensor
    mask_BT: Tensor
    normaliser: float
    rollout_logp_BT: Tensor | None = None
    ref_logp_BT: Tensor | None = None
    entropy_BT: Tensor | None = None
    weight_BT: Tensor | None = None
    kl_BT: Tensor | None = None


@dataclass(frozen=True)
class LossOutputs:
    """`loss` sums to the batch's loss over its micro-batches. `sums` are sums over actions (divide by sums["tokens"]), `maxima`
    maxima: numbers, or scalars that stay on the device until the step is over (`settled`)."""

    loss: Tensor
    sums: Mapping[str, Number] = field(default_factory=dict)
    maxima: Mapping[str, Number] = field(default_factory=dict)


def settled(outputs: Sequence[LossOutputs]) -> list[LossOutputs]:
    """The same in plain numbers, by one transfer for all of them; losses go to the CPU."""
    tensors = [
        v for o in outputs for v in (o.loss.detach(), *o.sums.values(), *o.maxima.values()) if isinstance(v, Tensor)
    ]
    numbers = iter(torch.stack([t.detach().double() for t in tensors]).tolist() if tensors else ())

    def plain(values: Mapping[str, Number]) -> dict[str, Number]:
        return {name: next(numbers) if isinstance(v, Tensor) else v for name, v in values.items()}

    return [LossOutputs(torch.tensor(next(numbers)), plain(o.sums), plain(o.maxima)) for o in outputs]


def batch_normaliser(aggregation: str, lengths: Sequence[int], max_new_tokens: int) -> float:
    """This rank's share of the global normaliser for sequences of these lengths; the ranks' shares are added up."""
    if aggregation == "token":
        return float(sum(lengths))
    if aggregation == "sequence":
        return float(sum(n > 0 for n in lengths))
    return float(sum(n > 0 for n in lengths) * max_new_tokens)


def kl_estimate(logp_BT: Tensor, ref_logp_BT: Tensor, estimator: str) -> Tensor:
    """Estimators of KL(policy || reference) from the policy's own samples (Schulman 2020, joschu.net/blog/kl-approx.html).

    k1 = log p - log q (unbiased; its gradient has mean 0, so as a loss it does nothing on average), k2 = (log p - log q)^2 / 2,
    k3 = q/p - 1 - log(q/p) (unbiased, never negative). Log-ratios are clamped to +-20. Shape [B, T], nats.
    """
    log_ratio = (ref_logp_BT - logp_BT).clamp(-LOG_RATIO_MAX, LOG_RATIO_MAX)
    if estimator == "k1":
        return -log_ratio
    if estimator == "k2":
        return 0.5 * log_ratio.square()
    return log_ratio.exp() - 1 - log_ratio


def importance(mismatch_BT: Tensor, level: str) -> Tensor:
    """Probability under the trainer over that under the rollout engine, from differences of log-probs [B, T] that are 0 where
    masked: of each token, or of its whole answer (the unbiased correction, of greater variance), [B, T]."""
    if level == "sequence":
        mismatch_BT = mismatch_BT.sum(1, keepdim=True).expand_as(mismatch_BT)
    return mismatch_BT.clamp(-LOG_RATIO_MAX, LOG_RATIO_MAX).exp()


def aggregate(value_BT: Tensor, mask_BT: Tensor, aggregation: str, normaliser: float) -> Tensor:
    """Sum of masked tokens (or of per-sequence token means) over the normaliser. Empty rows count nothing."""
    masked = torch.where(mask_BT, value_BT, 0.0)
    if aggregation == "sequence":
        return (masked.sum(1) / mask_BT.sum(1).clamp(min=1)).sum() / normaliser
    return masked.sum() / normaliser


def policy_loss(inputs: LossInputs, config: LossConfig) -> LossOutputs:
    """The loss of one micro-batch: policy-gradient term, weighted by the truncated importance weights, + kl_coef x KL
    - entropy_coef x entropy (whose gradient must be in `entropy_BT`)."""
    mask, advantage = inputs.mask_BT, inputs.advantage_BT
    logp = torch.where(mask, inputs.logp_BT, 0.0)
    old = torch.where(mask, inputs.old_logp_BT, 0.0).detach()
    ratio = _ratio(logp, old, mask, config.ratio_level)
    term, tokens = _clipped_term(ratio, logp, advantage, config)
    tokens |= {"ratio": ratio, "kl_old": kl_estimate(logp.detach(), old, "k3")}
    maxima = {"ratio": ratio}
    if inputs.rollout_logp_BT is not None:
        known = mask & inputs.rollout_logp_BT.isfinite()
        mismatch = torch.where(known, old - inputs.rollout_logp_BT, 0.0)
        raw = importance(mismatch, config.tis_level)
        tokens["tis_ratio"] = maxima["tis_ratio"] = raw  # before the cap
        if config.tis_cap is not None:
            term = term * raw.clamp(max=config.tis_cap)
            tokens["tis_capped"] = raw > config.tis_cap
        tokens["mismatch"] = maxima["mismatch"] = mismatch.abs()
    kl = inputs.kl_BT
    if kl is None and inputs.ref_logp_BT is not None:
        kl = kl_estimate(logp, torch.where(mask, inputs.ref_logp_BT, 0.0).detach(), config.kl_estimator)
    if inputs.weight_BT is not None:
        term = term * inputs.weight_BT
    loss = aggregate(term, mask, config.aggregation, inputs.normaliser)
    if kl is not None:
        tokens["kl"] = kl
        if config.kl_coef > 0:
            kl = kl if inputs.weight_BT is None else kl * inputs.weight_BT
            loss = loss + config.kl_coef * aggregate(kl, mask, config.aggregation, inputs.normaliser)
    if inputs.entropy_BT is not None:
        tokens["entropy"] = inputs.entropy_BT
        if config.entropy_coef > 0:
            loss = loss - config.entropy_coef * aggregate(
                inputs.entropy_BT, mask, config.aggregation, inputs.normaliser
            )
    sums: dict[str, Number] = {name: torch.where(mask, v.detach(), 0).double().sum() for name, v in tokens.items()}
    sums["tokens"] = mask.sum()
    return LossOutputs(loss, sums, {k: torch.where(mask, v.detach(), 0).max() for k, v in maxima.items()})


def _ratio(logp: Tensor, old: Tensor, mask: Tensor, level: str) -> Tensor:
    log_ratio = logp - old
    if level == "sequence":
        mean_B1 = log_ratio.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        log_ratio = logp - logp.detach() + mean_B1.detach()
    return log_ratio.clamp(-LOG_RATIO_MAX, LOG_RATIO_MAX).exp()


def _clipped_term(
    ratio: Tensor, logp: Tensor, advantage: Tensor, config: LossConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """The policy-gradient term [B, T], and where it was clipped at which bound."""
    low, high = 1 - config.clip_low, 1 + config.clip_high
    clipped = ratio.clamp(low, high)
    dual = torch.zeros_like(ratio, dtype=torch.bool)
    if config.clip_form == "weight":
        term = -clipped.detach() * advantage * logp
        return term, {"clip_low": ratio < low, "clip_high": ratio > high, "clip_dual": dual}
    term = torch.maximum(-advantage * ratio, -advantage * clipped)
    at_low, at_high = (ratio < low) & (advantage < 0), (ratio > high) & (advantage > 0)
    if config.dual_clip is not None:
        bound = (-advantage * config.dual_clip).expand_as(term)
        dual = (advantage < 0) & (term > bound)
        term = torch.where(dual, bound, term)
    return term, {"clip_low": at_low, "clip_high": at_high, "clip_dual": dual}


def merge_metrics(parts: Sequence[LossOutputs]) -> dict[str, float]:
    """Token means and maxima over micro-batches (and, when the caller gathered them, ranks)."""
    tokens = max(1.0, float(sum(p.sums["tokens"] for p in parts)))
    names = {k for p in parts for k in p.sums if k != "tokens"}
    merged = {f"{k}/mean": float(sum(p.sums.get(k, 0.0) for p in parts)) / tokens for k in sorted(names)}
    peaks = {k for p in parts for k in p.maxima}
    return merged | {f"{k}/max": max(float(p.maxima[k]) for p in parts if k in p.maxima) for k in sorted(peaks)}


__all__ = [
    "LossInputs",
    "LossOutputs",
    "aggregate",
    "batch_normaliser",
    "importance",
    "kl_estimate",
    "merge_metrics",
    "policy_loss",
    "settled",
]
