"""How far the policy has gone from its start, logged whether or not the loss has a KL term."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from rl.engine.base import Evaluate
from rl.losses import KL_ESTIMATORS, kl_estimate
from rl.microbatch import Place
from rl.policies.text import TextBatch
from rl.rollouts import Group


def drift_sample(groups: Sequence[Group], count: int, step: int) -> list[Place]:
    """About `count` completions, a function of its arguments: ceil(sqrt(count)) of each of as many groups as that takes,
    other groups every step. Few prompts are cheap, since their pass is shared; more than one tells more."""
    if not groups or count < 1:
        return []
    each = min(math.isqrt(count - 1) + 1, len(groups[0].completions))
    wanted = min(math.ceil(count / each), len(groups))
    chosen = [groups[(step * wanted + i) % len(groups)] for i in range(wanted)]
    return [(group, g) for group in chosen for g in range(each)][:count]


def drift_sums(places: Sequence[Place], reference: Evaluate[TextBatch]) -> dict[str, float]:
    """Token sums of k1, k2, k3 of KL(policy || start), nats, and their number of tokens.

    The policy's side is what the rollout engine reported for the tokens it drew: exact for the policy that was sampled
    from, and no forward of its own is spent on it.
    """
    if not places:
        return {}
    completions = [p.completions[g] for p, g in places]
    with torch.no_grad():
        stats = reference(TextBatch([p.prompt for p, _ in places], [c.token_ids for c in completions]))
    start_N = stats.logp_BT[stats.mask_BT].double().cpu()
    policy_N = torch.tensor([x for c in completions for x in c.logprobs], dtype=torch.float64)
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
