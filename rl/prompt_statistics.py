"""Mean and spread of all rewards that a prompt ever had, for advantages from more than one group of rollouts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rl.advantages import NO_SPREAD, Advantages


class PromptStatistics:
    """Count, mean and sum of squared deviations by (component, prompt), updated by Welford's method (1962)."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[float]]] = {}

    def advantages(self, component: str, prompts: Sequence[str], reward_PG: Tensor, eps: float) -> Advantages:
        """Take the rewards in, and give (r - mean) / (std + eps) with the statistics of all rewards of each row's prompt, these
        included (std unbiased). NaN marks a missing reward, which gets 0. A prompt whose rewards were always equal gets 0."""
        reward = reward_PG.double()
        present = ~reward.isnan()
        for prompt, row, there in zip(prompts, reward, present, strict=True):
            for value in row[there].tolist():
                self._add(component, prompt, value)
        statistics = [self._mean_std(component, prompt) for prompt in prompts]
        mean_P1, std_P1 = (
            torch.tensor(column, dtype=torch.float64)[:, None] for column in zip(*statistics, strict=True)
        )
        spread_P = (std_P1 > NO_SPREAD)[:, 0]
        advantage = (reward.nan_to_num(0.0) - mean_P1) / (std_P1 + eps)
        return Advantages(torch.where(present & spread_P[:, None], advantage, 0.0).float(), present, spread_P)

    def _add(self, component: str, prompt: str, value: float) -> None:
        known = self.values.setdefault(component, {}).setdefault(prompt, [0.0, 0.0, 0.0])
        known[0] += 1
        delta = value - known[1]
        known[1] += delta / known[0]
        known[2] += delta * (value - known[1])

    def _mean_std(self, component: str, prompt: str) -> tuple[float, float]:
        count, mean, squares = self.values.get(component, {}).get(prompt, (0.0, 0.0, 0.0))
        return mean, math.sqrt(squares / max(1.0, count - 1))

    def state_dict(self) -> dict[str, Any]:
        return self.values

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.values = state


__all__ = ["PromptStatistics"]
