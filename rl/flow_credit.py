"""From the rewards of edits to their advantages, over the groups of all ranks together, so that the number of ranks does not
matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from editors.flow_editor import batches
from rl.advantages import Advantages, group_advantages
from rl.flow_config import FlowTrainingConfig, GroupFilterConfig
from rl.flow_rollouts import FlowGroup, FlowRollout
from rl.loop import Ranks
from rl.mixed_advantages import mixed_advantages
from rl.prompt_statistics import PromptStatistics

I = TypeVar("I")  # noqa: E741
TOTAL = "total"  # the reward itself, where no components are weighted


@dataclass(frozen=True, eq=False)
class CreditedEdit:
    """An edit with its advantage. `present`: it belongs to the loss, since its reward could be computed and no filter left its
    group out."""

    rollout: FlowRollout
    advantage: float
    present: bool
    place: int  # of its group in the step
    number: int  # of the edit in its group


class Credit:
    """Advantages as configured. It remembers the rewards of every prompt where advantage_scale=prompt."""

    def __init__(self, config: FlowTrainingConfig) -> None:
        self.config, self.statistics = config, PromptStatistics()

    def __call__(self, groups: Sequence[FlowGroup], ranks: Ranks) -> list[CreditedEdit]:
        """The edits of this rank's groups, in order. Every rank must call it."""
        config = self.config
        weights = config.reward_weights or {TOTAL: 1.0}
        own = [(g.place, g.unit.id, reward_table(g, weights if config.reward_weights else ())) for g in groups]
        rows = sorted((row for part in ranks.all_gather(own) for row in part), key=lambda row: row[0])
        reward_PG = columns([table for _, _, table in rows], weights)
        component = partial(self._component, [prompt for _, prompt, _ in rows])
        a = mixed_advantages(reward_PG, weights, component, config.advantage_clip)
        kept_P = passes(reward_PG[TOTAL], config.filter)
        at = {place: p for p, (place, _, _) in enumerate(rows)}
        return [
            CreditedEdit(
                r,
                float(a.advantage_PG[p, g]) if kept_P[p] else 0.0,
                bool(a.present_PG[p, g] and kept_P[p]),
                group.place,
                g,
            )
            for group, p in ((group, at[group.place]) for group in groups)
            for g, (r,) in enumerate(group.rollouts)
        ]

    def _component(self, prompts: Sequence[str], name: str, reward_PG: Tensor) -> Advantages:
        scale, eps = self.config.advantage_scale, self.config.advantage_eps
        if scale == "prompt":
            return self.statistics.advantages(name, prompts, reward_PG, eps)
        return group_advantages(reward_PG, scale, eps)


def reward_table(group: FlowGroup, components: Sequence[str] | Mapping[str, float]) -> dict[str, list[float]]:
    """The total and these components of a group's rewards, NaN where missing. A component that none of them has is not there."""
    rewards = [r.reward for (r,) in group.rollouts]
    table = {TOTAL: [_number(r.total) for r in rewards]}
    for name in components:
        if name != TOTAL and any(name in r.components for r in rewards):
            table[name] = [_number(r.components.get(name)) for r in rewards]
    return table


def columns(tables: Sequence[Mapping[str, list[float]]], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """[P, G] of the total and of every component that some reward has. Where no reward could be computed at all, the weighted
    components are missing too."""
    names = {name for table in tables for name in table}
    if all(math.isnan(x) for table in tables for x in table[TOTAL]):
        names |= set(weights)
    absent = [math.nan] * len(tables[0][TOTAL])
    return {n: torch.tensor([t.get(n, absent) for t in tables], dtype=torch.float64) for n in sorted(names)}


def passes(reward_PG: Tensor, limits: GroupFilterConfig) -> Tensor:
    """[P]: groups whose present rewards spread enough (population standard deviation) and are not too good on average."""
    present = ~reward_PG.isnan()
    count = present.sum(1).clamp(min=1)
    mean = reward_PG.nan_to_num(0.0).sum(1) / count
    std = (torch.where(present, reward_PG - mean[:, None], 0.0).square().sum(1) / count).sqrt()
    kept = torch.ones_like(count, dtype=torch.bool)
    if limits.min_std > 0:
        kept &= std > limits.min_std
    if limits.max_mean is not None:
        kept &= mean < limits.max_mean
    return kept


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def by_shape(items: Sequence[I], edits: Sequence[CreditedEdit], size: int) -> list[list[I]]:
    """Micro-batches of at most `size` items, each of one shape; `edits[i]` is the edit of item i. The split changes time and
    memory, never the update."""
    return [[items[row] for row in rows] for rows in batches([e.rollout.shape for e in edits], size)]


__all__ = ["Credit", "CreditedEdit", "by_shape", "passes", "reward_table"]
