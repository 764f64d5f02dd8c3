"""From the rewards of groups to advantages. Pure functions; a missing reward is NaN and never a zero.

Suffixes: P groups (a prompt, or a turn of a session), G rollouts of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from common.errors import BadInput

EPS = 1e-6  # verl and EasyR1's constant beside the standard deviation
NO_SPREAD = 1e-9  # rewards nearer than this are equal: fp noise / 1e-6 must not become a gradient


@dataclass(frozen=True)
class Advantages:
    """advantage_PG: 0 where missing or without spread; present_PG: the reward was computed; spread_P: rewards differ, so
    that the group teaches something."""

    advantage_PG: Tensor
    present_PG: Tensor
    spread_P: Tensor


def group_advantages(
    reward_PG: Tensor, scale: str = "group", eps: float = EPS, clip: float | None = None
) -> Advantages:
    """A = (r - mean) / (std + eps), the mean always that of the group, std unbiased.

    `scale` says whose std: "group" (GRPO, arXiv 2402.03300 eq. 3; constants of verl and EasyR1), "batch": of all centred
    rewards of the batch (REINFORCE++, arXiv 2501.03262), "rewards": of all rewards of the batch as they are (population; the code
    of Flow-GRPO and Edit-R2), "none": no division (Dr. GRPO, arXiv 2503.20783). `clip` cuts advantages to +-clip.

    NaN marks a missing reward: it takes no part in mean and std and gets 0. A group whose present rewards are all equal, or
    that has fewer than two, gets 0 throughout. Infinite rewards raise BadInput. Computed in fp64, returned in fp32.
    """
    if reward_PG.ndim != 2:
        raise BadInput(f"rewards must be [groups, rollouts], not {tuple(reward_PG.shape)}")
    if torch.isinf(reward_PG).any():
        raise BadInput("a reward is infinite; a reward that could not be computed must be None or NaN")
    reward = reward_PG.double()
    present = ~reward.isnan()
    n_P1 = present.sum(1, keepdim=True)
    filled = reward.nan_to_num(0.0)
    mean_P1 = filled.sum(1, keepdim=True) / n_P1.clamp(min=1)
    centred = torch.where(present, filled - mean_P1, 0.0)
    spread_P = centred.abs().amax(1) > NO_SPREAD
    if scale == "group":
        std_P1 = (centred.square().sum(1, keepdim=True) / (n_P1 - 1).clamp(min=1)).sqrt()
        advantage = centred / (std_P1 + eps)
    elif scale == "batch":
        std = (centred.square().sum() / (present.sum() - 1).clamp(min=1)).sqrt()
        advantage = centred / (std + eps)
    elif scale == "rewards":
        advantage = centred / (reward[present].std(correction=0) + eps)
    elif scale == "none":
        advantage = centred
    else:
        raise BadInput(f"advantages are scaled by group, batch, rewards or none, not {scale!r}")
    if clip is not None:
        advantage = advantage.clamp(-clip, clip)
    return Advantages(torch.where(spread_P[:, None], advantage, 0.0).float(), present, spread_P)


def returns_to_go(reward_GK: Tensor, turns_G: Sequence[int]) -> Tensor:
    """[G, K]: the sum of the rewards from turn k on, of rollouts with turns_G[g] turns each; NaN where there is no such turn.

    A return that holds a missing reward (NaN) is missing itself: what the rest was worth is not known."""
    out = torch.full_like(reward_GK, torch.nan)
    for g, turns in enumerate(turns_G):
        out[g, :turns] = reward_GK[g, :turns].flip(0).cumsum(0).flip(0)
    return out


__all__ = ["Advantages", "group_advantages", "returns_to_go"]
