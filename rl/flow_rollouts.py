"""Rollouts of a flow editor: G edits of each sample's picture, their rewards, and what is logged of them.

A picture and its instruction are encoded once for all of its edits. Everything random comes from (seed, step, place, edit), so
that edits do not depend on the number of ranks or on which of them are sampled together (but for rounding).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput, RunFailed
from common.pictures import to_rgb
from editors.flow_editor import batches
from editors.geometry import Fit, restore
from rl.clock import Clock
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


@dataclass(frozen=True)
class _Prompt:
    """A sample made ready for the model."""

    sample: EditSample
    instruction: str
    image: Image.Image  # on the model's grid
    fit: Fit
    shape: Hashable


@dataclass(frozen=True, kw_only=True)
class FlowSampler:
    """`rl.rollouts.Sampler` of edits. `policy` is what is sampled from; `noisy` says which of the `steps` denoising steps have
    noise at a step of training; `samples` must be a pure function. At most `batch_size` edits are sampled together.

    Raises BadInput for a sample without a picture and for a decoder that works in tiles, RunFailed where the reward does not
    give one value for each edit.
    """

    policy: FlowPolicy
    samples: Samples
    instruction: Instruct
    reward: PictureReward
    noisy: Callable[[int], range]
    steps: int
    group_size: int
    batch_size: int
    seed: int
    same_noise: bool = False
    products: Callable[[], AbstractContextManager[Any]] = (
        nullcontext  # the precision of matrix products, that of the update
    )

    def __post_init__(self) -> None:
        if self.policy.flow.tiled:
            raise BadInput("VAE tiling leaves seams that a judge sees and a policy learns; set vae_tiling=false")

    def prepare(self, step: int) -> None:
        """Samples are a function of the step: there is nothing to decide."""

    def draw(self, step: int, places: Sequence[int], clock: Clock) -> list[FlowGroup]:
        with clock("rollout"):
            prompts = [self._prompt(self.samples(step, j)) for j in places]
            edits: list[list[tuple[Trajectory, Image.Image]]] = [[] for _ in prompts]
            for rows in batches([p.shape for p in prompts], len(prompts) or 1):
                own = self._sample(step, [places[r] for r in rows], [prompts[r] for r in rows])
                for row, group in zip(rows, own, strict=True):
                    edits[row] = group
        with clock("reward"):
            flat = [(p.sample, picture, self._seed(step, j, g))
                    for j, p, group in zip(places, prompts, edits, strict=True)
                    for g, (_, picture) in enumerate(group)]  # fmt: skip
            rewards = list(self.reward(*map(list, zip(*flat, strict=True))))
        if len(rewards) != len(flat):
            raise RunFailed(f"step {step}: the reward gave {len(rewards)} values for {len(flat)} edits")
        values = iter(rewards)
        return [
            flow_group(
                j, p.sample, [FlowRollout(p.instruction, p.shape, t, picture, next(values)) for t, picture in group]
            )
            for j, p, group in zip(places, prompts, edits, strict=True)
        ]

    def _prompt(self, sample: EditSample) -> _Prompt:
        if sample.image is None:
            raise BadInput(f"sample {sample.id} has no picture to edit; choose a benchmark with pictures")
        image, fit = self.policy.flow.fit(to_rgb(sample.image))
        instruction = self.instruction(sample)
        return _Prompt(sample, instruction, image, fit, (image.size, self.policy.flow.text_length(instruction)))

    def _seed(self, step: int, place: int, g: int) -> int:
        return counter_seed(self.seed, step, place, 1 + g)

    def _sample(
        self, step: int, places: Sequence[int], prompts: Sequence[_Prompt]
    ) -> list[list[tuple[Trajectory, Image.Image]]]:
        """The edits of prompts of one shape, prompt by prompt."""
        flow = self.policy.flow
        conditioning = flow.prepare([p.image for p in prompts], [p.instruction for p in prompts])
        encoded = [conditioning.select([p]) for p in range(len(prompts))]  # one object for all edits of a group
        out: list[list[tuple[Trajectory, Image.Image]]] = [[] for _ in prompts]
        members = [(p, g) for p in range(len(prompts)) for g in range(self.group_size)]
        for start in range(0, len(members), self.batch_size):
            part = members[start : start + self.batch_size]
            rows = [p for p, _ in part]
            seeds = [self._seed(step, places[p], g) for p, g in part]
            starts = [
                counter_seed(self.seed, step, places[p], 0) if self.same_noise else counter_seed(seed, 0)
                for (p, _), seed in zip(part, seeds, strict=True)
            ]
            members_of = conditioning.select(rows)
            noise = flow.noise(members_of, starts)
            with self.products():
                trajectories = self.policy.sample(conditioning, rows, noise, seeds, self.steps, self.noisy(step))
            pictures = flow.decode(members_of, torch.stack([t.latents_SNC[-1] for t in trajectories]))
            for p, t, picture in zip(rows, trajectories, pictures, strict=True):
                out[p].append((replace(t, conditioning=encoded[p]), restore(picture, prompts[p].fit)))
        return out


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
