"""Rollouts of a flow editor: G edits of each sample's picture, their rewards, and what is logged of them.

A picture and its instruction are encoded once for all of its edits. Everything random comes from (seed, step, place, edit), so
that edits do not depend on the number of ranks or on which of them are sampled together (but for rounding).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput, RunFailed
from common.pictures import to_rgb
from rl.clock import Clock
from rl.flow_edits import EditDrawer, EditRequest
from rl.policies.flow import FlowPolicy, Trajectory
from rl.reward_values import RewardLike, Samples, finite, mean_std
from rl.rollouts import Group, counter_seed

Instruct: TypeAlias = Callable[[EditSample], str]
# the samples, their edited pictures, and a seed each
PictureReward: TypeAlias = Callable[[Sequence[EditSample], Sequence[Image.Image], Sequence[int]], Sequence[RewardLike]]


@dataclass(frozen=True, eq=False)
class FlowRollout:
    """One edit of a sample's picture. Trajectories of one `shape` (grid, and tokens of the instruction) can share a batch."""

    instruction: str
    shape: Hashable
    trajectory: Trajectory
    picture: Image.Image
    reward: RewardLike


FlowGroup: TypeAlias = Group[FlowRollout]


@dataclass(frozen=True, kw_only=True)
class FlowSampler:
    """`rl.rollouts.Sampler` of edits. `drawer` samples them; `noisy` says which denoising steps have noise at a step of training;
    `samples` must be a pure function.

    Raises BadInput for a sample without a picture, RunFailed where the reward does not give one value for each edit.
    """

    drawer: EditDrawer
    samples: Samples
    instruction: Instruct
    reward: PictureReward
    noisy: Callable[[int], range]
    group_size: int
    seed: int
    same_noise: bool = False

    @property
    def policy(self) -> FlowPolicy:
        """What is sampled from."""
        return self.drawer.policy

    def prepare(self, step: int) -> None:
        """Samples are a function of the step: there is nothing to decide."""

    def draw(self, step: int, places: Sequence[int], clock: Clock) -> list[FlowGroup]:
        with clock("rollout"):
            samples = [self.samples(step, j) for j in places]
            requests = [r for j, sample in zip(places, samples, strict=True) for r in self._requests(step, j, sample)]
            edits = self.drawer.draw(requests, self.noisy(step))
        with clock("reward"):
            repeated = [sample for sample in samples for _ in range(self.group_size)]
            rewards = list(self.reward(repeated, [e.picture for e in edits], [r.seed for r in requests]))
        if len(rewards) != len(edits):
            raise RunFailed(f"step {step}: the reward gave {len(rewards)} values for {len(edits)} edits")
        rollouts = iter(
            FlowRollout(request.instruction, e.shape, e.trajectory, e.picture, reward)
            for request, e, reward in zip(requests, edits, rewards, strict=True)
        )
        return [
            flow_group(j, sample, [next(rollouts) for _ in range(self.group_size)])
            for j, sample in zip(places, samples, strict=True)
        ]

    def _requests(self, step: int, place: int, sample: EditSample) -> list[EditRequest]:
        if sample.image is None:
            raise BadInput(f"sample {sample.id} has no picture to edit; choose a benchmark with pictures")
        image, instruction = to_rgb(sample.image), self.instruction(sample)
        shared = counter_seed(self.seed, step, place, 0)
        seeds = [counter_seed(self.seed, step, place, 1 + g) for g in range(self.group_size)]
        return [EditRequest(image, instruction, s, shared if self.same_noise else counter_seed(s, 0)) for s in seeds]


def flow_group(place: int, sample: EditSample, rollouts: Sequence[FlowRollout]) -> FlowGroup:
    """The edits of one sample. A reward that could not be computed is NaN."""
    totals = [math.nan if r.reward.total is None else float(r.reward.total) for r in rollouts]
    return Group(place, sample, [[r] for r in rollouts], torch.tensor(totals, dtype=torch.float64)[:, None])


def flow_rows(group: FlowGroup, advantage: Callable[[FlowRollout], float], step: int) -> list[dict[str, Any]]:
    """One JSON row per edit, for samples.jsonl and the step's metrics."""
    return [
        {
            "step": step,
            "sample": group.unit.id,
            "j": group.place,
            "g": g,
            "instruction": r.instruction,
            "reward": finite(r.reward.total),
            "components": {name: finite(v) for name, v in r.reward.components.items()},
            "advantage": advantage(r),
        }
        for g, (r,) in enumerate(group.rollouts)
    ]


def describe_edits(rows: Sequence[Mapping[str, Any]], no_spread: Sequence[bool]) -> dict[str, float]:
    """Metrics of all edits of a step: the reward and its components (mean, std over those that are there), shares."""
    out = mean_std("reward", [r["reward"] for r in rows])
    for name in sorted({k for r in rows for k in r["components"]}):
        out |= mean_std(f"reward/{name}", [r["components"].get(name) for r in rows])
    return out | {
        "groups/drawn": float(len(no_spread)),
        "groups/no_spread": sum(no_spread) / max(1, len(no_spread)),
        "reward/missing": sum(r["reward"] is None for r in rows) / max(1, len(rows)),
    }


__all__ = [
    "FlowGroup",
    "FlowRollout",
    "FlowSampler",
    "Instruct",
    "PictureReward",
    "describe_edits",
    "flow_group",
    "flow_rows",
]
