"""The rollouts of a step with their advantages: what a policy-gradient update trains on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from agents.backends.vlm import EncodedPrompt
from rl.advantages import group_advantages
from rl.loop import Ranks
from rl.text_rollouts import TextGroup, TextRollout, text_rows


@dataclass(frozen=True, eq=False)
class CreditedRollout:
    """A rollout with its advantage; `present`: its reward could be computed."""

    rollout: TextRollout
    advantage: float
    present: bool

    @property
    def prompt(self) -> EncodedPrompt:
        return self.rollout.prompt

    @property
    def token_ids(self) -> Sequence[int]:
        return self.rollout.token_ids

    @property
    def logprobs(self) -> Sequence[float]:
        return self.rollout.completion.logprobs


def credit(groups: Sequence[TextGroup], ranks: Ranks, scale: str, clip: float | None) -> list[CreditedRollout]:
    """The groups' rollouts in order, each with its places in order. The rollouts of a group are compared place by place: in a
    closed loop the returns-to-go of those that have such a turn. Under scale="batch" the deviation is that of all ranks."""
    reward_PG = stacked([group.signal_GK.T for group in groups])
    parts = ranks.all_gather(reward_PG) if scale == "batch" else [reward_PG]
    first = sum(map(len, parts[: ranks.rank])) if scale == "batch" else 0
    a = group_advantages(stacked(parts), scale, clip=clip)
    items: list[CreditedRollout] = []
    for group in groups:
        for g, turns in enumerate(group.rollouts):
            items += [
                CreditedRollout(rollout, float(a.advantage_PG[first + k, g]), bool(a.present_PG[first + k, g]))
                for k, rollout in enumerate(turns)
            ]
        first += group.signal_GK.shape[1]
    return items


def stacked(parts: Sequence[Tensor]) -> Tensor:
    """Rows of rewards below each other. Groups may have different numbers of rollouts; those that a row does not have are NaN."""
    width = max(part.shape[1] for part in parts)
    return torch.cat([F.pad(part, (0, width - part.shape[1]), value=math.nan) for part in parts])


def credited_rows(drawn: Sequence[TextGroup], items: Sequence[CreditedRollout], step: int) -> list[dict[str, Any]]:
    """The rows of all rollouts that were drawn; those that were left out had equal rewards, so their advantage is 0."""
    advantages = {id(item.rollout): item.advantage for item in items}
    return [row for group in drawn for row in text_rows(group, lambda rollout: advantages.get(id(rollout), 0.0), step)]


__all__ = ["CreditedRollout", "credit", "credited_rows", "stacked"]
