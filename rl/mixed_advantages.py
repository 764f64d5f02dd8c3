"""Rewards of several components, mixed as advantages: each component is centred and scaled on its own, so that one of a great
spread does not drown the others (MixGRPO, arXiv 2507.21802)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from common.errors import BadInput
from rl.advantages import Advantages


def mixed_advantages(
    reward_PG: Mapping[str, Tensor],
    weights: Mapping[str, float],
    advantages: Callable[[str, Tensor], Advantages],
    clip: float,
) -> Advantages:
    """sum_c w_c A_c, cut to +-clip. `advantages(name, reward_PG)` gives those of one component.

    A component that is missing in a rollout (NaN) adds nothing there; where all are missing the rollout is. Raises BadInput for
    a weight of a component that no reward has.
    """
    if unknown := sorted(set(weights) - set(reward_PG)):
        raise BadInput(
            f"reward_weights names {', '.join(unknown)}, and this reward has the components {', '.join(sorted(reward_PG))}"
        )
    parts = {name: advantages(name, reward_PG[name]) for name in weights}
    total = torch.stack([weights[name] * part.advantage_PG for name, part in parts.items()]).sum(0)
    present = torch.stack([part.present_PG for part in parts.values()]).any(0)
    spread = torch.stack([part.spread_P for part in parts.values()]).any(0)
    return Advantages(torch.where(present, total.clamp(-clip, clip), 0.0), present, spread)


__all__ = ["mixed_advantages"]
