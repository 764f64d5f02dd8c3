"""Policy-gradient losses on tokens. Pure functions: tensors in, one scalar and its metrics out.

Suffixes: B sequences, T tokens. A loss is always a sum divided by a normaliser of the whole batch that the caller hands
in, so the split into micro-batches, accumulation steps and ranks cannot change the update.

Variants, and what their sum runs over (`aggregation`, which the configuration can override):

* grpo: token ratio, clip [1-low, 1+high] (arXiv 2402.03300 eq. 3), dual clip (1912.09729). "token": tokens / all tokens of the
  batch, the default of verl and EasyR1; the paper's own form is "sequence".
* dr_grpo: as grpo (2503.20783). "constant": tokens / (sequences x max_new_tokens).
* dapo: as grpo with high > low (2503.14476 eq. 8). "token".
* gspo: sequence ratio s = exp(mean_t log-ratio), token gradient through s * exp(logp - sg logp), no dual clip (2507.18071,
  GSPO-token). "sequence": mean over a sequence's tokens, then / all sequences.
* cispo: -sg(clip(ratio)) A logp, so clipped tokens keep a gradient (2506.13585 eq. 4-5). "token".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from common.errors import BadInput

VARIANTS = ("grpo", "dr_grpo", "dapo", "gspo", "cispo")
AGGREGATION = {"grpo": "token", "dr_grpo": "constant", "dapo": "token", "gspo": "sequence", "cispo": "token"}
# (low, high): EasyR1's for grpo, the papers' for dr_grpo, dapo and gspo, verl's recipe for cispo (1.0 = no lower bound).
CLIP = {"grpo": (0.2, 0.3), "dr_grpo": (0.2, 0.2), "dapo": (0.2, 0.28), "gspo": (3e-4, 4e-4), "cispo": (1.0, 0.2)}
KL_ESTIMATORS = ("k1", "k2", "k3")
LOG_RATIO_MAX = 20.0  # verl's clamp: exp stays finite in fp32


@dataclass(frozen=True)
class LossConfig:
    """Which loss. None means the variant's own value from the tables above; `dual_clip` and `tis_cap` None are off.

    `dual_clip` (> 1) bounds the loss of a negative advantage in grpo, dr_grpo and dapo.
    """

    variant: str = "grpo"
    clip_low: float | None = None
    clip_high: float | None = None
    dual_clip: float | None = 3.0
    kl_coef: float = 0.0
    kl_estimator: str = "k3"
    tis_cap: float | None = 2.0
    tis_level: str = "token"  # or "sequence": one weight per answer, the product over its tokens
    aggregation: str | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("variant", self.variant, VARIANTS),
            ("kl_estimator", self.kl_estimator, KL_ESTIMATORS),
            ("tis_level", self.tis_level, ("token", "sequence")),
            ("aggregation", self.aggregation, (None, "token", "sequence", "constant")),
        ):
            if value not in known:
                raise BadInput(f"{name} must be one of {', '.join(map(str, known))}, not {value!r}")
        low, high = self.clip
        if not (0 <= low <= 1 and high >= 0):
            raise BadInput(f"clip_low must lie in [0, 1] and clip_high be at least 0, not {low} and {high}")
        if self.dual_clip is not None and not self.dual_clip > 1:
            raise BadInput(f"dual_clip must be greater than 1 or null, not {self.dual_clip}")
        if not self.kl_coef >= 0:
            raise BadInput(f"kl_coef must be 0 or more, not {self.kl_coef}")
        if self.tis_cap is not None and not self.tis_cap > 0:
            raise BadInput(f"tis_cap must be positive or null, not {self.tis_cap}")

    @property
    def clip(self) -> tuple[float, float]:
        low, high = CLIP[self.variant]
        return (low if self.clip_low is None else self.clip_low, high if self.clip_high is None else self.clip_high)

    @property
    def over(self) -> str:
        """The aggregation in force."""
        return self.aggregation or AGGREGATION[self.variant]


@dataclass(frozen=True)
class LossInputs:
    """One micro-batch. `old` is the trainer's policy that made the batch, `rollout` what the engine reported for the same
    tokens, `ref` the frozen start; mask is True on tokens that count. `normaliser` belongs to the whole batch."""

    logp_BT: Tensor
    old_logp_BT: Tensor
    advantage_B: Tensor
    mask_BT: Tensor
    normaliser: float
    rollout_logp_BT: Tensor | None = None
    ref_logp_BT: Tensor | None = None
    entropy_BT: Tensor | None = None


@dataclass(frozen=True)
class LossOutputs:
    """`loss` sums to the batch's loss over its micro-batches. `sums` are token sums (divide by sums["tokens"]), `maxima` maxima."""

    loss: Tensor
    sums: dict[str, float] = field(default_factory=dict)
    maxima: dict[str, float] = field(default_factory=dict)


def batch_normaliser(over: str, lengths: Sequence[int], max_new_tokens: int) -> float:
    """This rank's share of the global normaliser for sequences of these lengths; the ranks' shares are added up."""
    if over == "token":
        return float(sum(lengths))
    if over == "sequence":
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


def aggregate(value_BT: Tensor, mask_BT: Tensor, over: str, normaliser: float) -> Tensor:
    """Sum of masked tokens (or of per-sequence token means) over the normaliser. Empty rows count nothing."""
    masked = torch.where(mask_BT, value_BT, 0.0)
    if over == "sequence":
        return (masked.sum(1) / mask_BT.sum(1).clamp(min=1)).sum() / normaliser
    return masked.sum() / normaliser


def policy_loss(inputs: LossInputs, config: LossConfig) -> LossOutputs:
    """The loss of one micro-batch: policy-gradient term, weighted by the truncated importance weights, + kl_coef x KL."""
    mask, advantage = inputs.mask_BT, inputs.advantage_B[:, None]
    logp = torch.where(mask, inputs.logp_BT, 0.0)
    old = torch.where(mask, inputs.old_logp_BT, 0.0).detach()
    low, high = config.clip
    log_ratio = logp - old
    if config.variant == "gspo":
        mean_B1 = log_ratio.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        log_ratio = logp - logp.detach() + mean_B1.detach()
    ratio = log_ratio.clamp(-LOG_RATIO_MAX, LOG_RATIO_MAX).exp()
    clipped = ratio.clamp(1 - low, 1 + high)
    dual = torch.zeros_like(mask)
    if config.variant == "cispo":
        term = -clipped.detach() * advantage * logp
        at_low, at_high = ratio < 1 - low, ratio > 1 + high
    else:
        term = torch.maximum(-advantage * ratio, -advantage * clipped)
        at_low, at_high = (ratio < 1 - low) & (advantage < 0), (ratio > 1 + high) & (advantage > 0)
        if config.dual_clip is not None and config.variant != "gspo":
            bound = (-advantage * config.dual_clip).expand_as(term)
            dual = (advantage < 0) & (term > bound)
            term = torch.where(dual, bound, term)

    tokens = {
        "clip_low": at_low,
        "clip_high": at_high,
        "clip_dual": dual,
        "ratio": ratio,
        "kl_old": kl_estimate(logp.detach(), old, "k3"),
    }
    maxima = {"ratio": ratio}
    if inputs.rollout_logp_BT is not None:
        mismatch = torch.where(mask, old - inputs.rollout_logp_BT, 0.0)
        raw = importance(mismatch, config.tis_level)
        tokens["tis_ratio"] = maxima["tis_ratio"] = raw  # before the cap
        if config.tis_cap is not None:
            term = term * raw.clamp(max=config.tis_cap)
            tokens["tis_capped"] = raw > config.tis_cap
        tokens["mismatch"] = maxima["mismatch"] = mismatch.abs()
    loss = aggregate(term, mask, config.over, inputs.normaliser)
    if inputs.ref_logp_BT is not None:
        kl = kl_estimate(logp, torch.where(mask, inputs.ref_logp_BT, 0.0).detach(), config.kl_estimator)
        tokens["kl"] = kl
        if config.kl_coef > 0:
            loss = loss + config.kl_coef * aggregate(kl, mask, config.over, inputs.normaliser)
    if inputs.entropy_BT is not None:
        tokens["entropy"] = inputs.entropy_BT
    sums = {name: float(torch.where(mask, v.detach(), 0).double().sum()) for name, v in tokens.items()}
    sums["tokens"] = float(mask.sum())
    return LossOutputs(
        loss, sums, {k: float(torch.where(mask, v.detach(), 0).max()) if mask.any() else 0.0 for k, v in maxima.items()}
    )


def merge_metrics(parts: Sequence[LossOutputs]) -> dict[str, float]:
    """Token means and maxima over micro-batches (and, when the caller gathered them, ranks)."""
    tokens = max(1.0, sum(p.sums["tokens"] for p in parts))
    names = {k for p in parts for k in p.sums if k != "tokens"}
    merged = {f"{k}/mean": sum(p.sums.get(k, 0.0) for p in parts) / tokens for k in sorted(names)}
    peaks = {k for p in parts for k in p.maxima}
    return merged | {f"{k}/max": max(p.maxima[k] for p in parts if k in p.maxima) for k in sorted(peaks)}


__all__ = [
    "LossConfig",
    "LossInputs",
    "LossOutputs",
    "aggregate",
    "batch_normaliser",
    "importance",
    "kl_estimate",
    "merge_metrics",
    "policy_loss",
]
