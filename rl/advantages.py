"""From the rewards of a group to advantages. Pure functions; a missing reward is NaN and never a zero.

Suffixes: P prompts, G completions of a prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from common.errors import BadInput

EPS = 1e-6  # verl and EasyR1's constant beside the standard deviation
NO_SPREAD = 1e-9  # rewards nearer than this are equal: fp noise / 1e-6 must not become a gradient


@dataclass(frozen=True)
class Advantages:
    """advantage_PG: 0 where missing or without spread; present_PG: the reward was computed; spread_P: the group teaches."""

    advantage_PG: Tensor
    present_PG: Tensor
    spread_P: Tensor


def group_advantages(reward_PG: Tensor, normalise_std: bool = True) -> Advantages:
    """A = (r - mean) / (std + 1e-6) per group, std unbiased (GRPO, arXiv 2402.03300 eq. 3; constants of verl and EasyR1),
    or A = r - mean without the division (Dr. GRPO, arXiv 2503.20783).

    NaN marks a missing reward: it takes no part in mean and std and gets 0. A group whose present rewards are all equal,
    or that has fewer than two, gets 0 throughout. Infinite rewards raise BadInput. Computed in fp64, returned in fp32.
    """
    if reward_PG.ndim != 2:
        raise BadInput(f"rewards must be [prompts, group], not {tuple(reward_PG.shape)}")
    if torch.isinf(reward_PG).any():
        raise BadInput("a reward is infinite; a reward that could not be computed must be None or NaN")
    reward = reward_PG.double()
    present = ~reward.isnan()
    n_P1 = present.sum(1, keepdim=True)
    filled = reward.nan_to_num(0.0)
    mean_P1 = filled.sum(1, keepdim=True) / n_P1.clamp(min=1)
    centred = torch.where(present, filled - mean_P1, 0.0)
    spread_P = centred.abs().amax(1) > NO_SPREAD
    advantage = centred
    if normalise_std:
        std_P1 = (centred.square().sum(1, keepdim=True) / (n_P1 - 1).clamp(min=1)).sqrt()
        advantage = centred / (std_P1 + EPS)
    return Advantages(torch.where(spread_P[:, None], advantage, 0.0).float(), present, spread_P)


__all__ = ["Advantages", "group_advantages"]
