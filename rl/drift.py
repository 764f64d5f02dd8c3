"""How far the policy has gone from its start, logged whether or not the loss has a KL term."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from rl.config import KL_ESTIMATORS
from rl.engine.base import Evaluate
from rl.losses import kl_estimate
from rl.policies.text import TextBatch
from rl.text_rollouts import TextGroup, TextRollout


def drift_sample(groups: Sequence[TextGroup], count: int, step: int) -> list[TextRollout]:
    """About `count` rollouts, a function of its arguments: ceil(sqrt(count)) of each of as many groups as that takes,
    other groups every step. Few prompts are cheap, since their pass is shared; more than one tells more."""
    if not groups or count < 1:
        return []
    each = min(math.isqrt(count - 1) + 1, len(groups[0].rollouts))
    number = min(math.ceil(count / each), len(groups))
    chosen = [groups[(step * number + i) % len(groups)] for i in range(number)]
    return [rollout for group in chosen for turns in group.rollouts[:each] for rollout in turns][:count]


def drift_sums(rollouts: Sequence[TextRollout], reference: Evaluate[TextBatch]) -> dict[str, float]:
    """Token sums of k1, k2, k3 of KL(policy || start), nats, and their number of tokens.

    The policy's side is what the rollout engine reported for the tokens it drew: exact for the policy that was sampled
    from, and no forward of its own is spent on it. Tokens whose log-probability it did not report (NaN) are left out.
    """
    if not rollouts:
        return {}
    with torch.no_grad():
        start = reference(TextBatch([r.prompt for r in rollouts], [r.token_ids for r in rollouts]))
    start_N = start.logp_BT[start.mask_BT].double().cpu()
    policy_N = torch.tensor([x for r in rollouts for x in r.completion.logprobs], dtype=torch.float64)
    known_N = policy_N.isfinite()
    start_N, policy_N = start_N[known_N], policy_N[known_N]
    sums = {f"kl/{k}": float(kl_estimate(policy_N, start_N, k).sum()) for k in KL_ESTIMATORS}
    return sums | {"tokens": float(len(policy_N))}


def drift_metrics(parts: Sequence[dict[str, float]], estimator: str) -> dict[str, float]:
    """Token means over the ranks' sums; `kl/mean` is the configured estimator's. Empty where nothing was evaluated."""
    tokens = sum(p.get("tokens", 0.0) for p in parts)
    if not tokens:
        return {}
    means = {f"kl/{k}": sum(p.get(f"kl/{k}", 0.0) for p in parts) / tokens for k in KL_ESTIMATORS}
    return means | {"kl/mean": means[f"kl/{estimator}"]}


__all__ = ["drift_metrics", "drift_sample", "drift_sums"]
