"""Sampling edits from a flow policy: given pictures and instructions in, trajectories and edited pictures out.

What is equal is encoded once: edits of one picture by one instruction share what the transformer is conditioned on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image

from common.errors import BadInput
from editors.flow_editor import batches
from editors.geometry import Fit, restore
from rl.policies.flow import FlowPolicy, Trajectory


@dataclass(frozen=True, eq=False)
class EditRequest:
    """One edit to sample from an RGB picture. `seed`: of the noise of its steps; `start`: of the noise that it starts from."""

    image: Image.Image
    instruction: str
    seed: int
    start: int


@dataclass(frozen=True, eq=False)
class SampledEdit:
    """Trajectories of one `shape` (grid, and tokens of the instruction) can share a batch."""

    shape: Hashable
    trajectory: Trajectory
    picture: Image.Image


@dataclass(frozen=True, eq=False)
class _Prompt:
    """A picture on the model's grid with its instruction."""

    image: Image.Image
    fit: Fit
    instruction: str
    shape: Hashable


@dataclass(frozen=True, kw_only=True)
class EditDrawer:
    """`steps` denoising steps of `policy`, at most `batch_size` edits together. `products`: the precision of matrix products, that
    of the update. Raises BadInput for a decoder that works in tiles."""

    policy: FlowPolicy
    steps: int
    batch_size: int
    products: Callable[[], AbstractContextManager[Any]] = nullcontext

    def __post_init__(self) -> None:
        if self.policy.flow.tiled:
            raise BadInput("VAE tiling leaves seams that a judge sees and a policy learns; set vae_tiling=false")

    def draw(self, requests: Sequence[EditRequest], noisy: range) -> list[SampledEdit]:
        """One edit for each request, in order, with noise in the steps `noisy`. An edit does not depend on the others (but for
        rounding)."""
        prompts: list[_Prompt] = []
        place: dict[tuple[int, str], int] = {}
        for r in requests:
            if (key := (id(r.image), r.instruction)) not in place:
                place[key] = len(prompts)
                prompts.append(self._prompt(r.image, r.instruction))
        members: list[list[int]] = [[] for _ in prompts]
        for i, r in enumerate(requests):
            members[place[id(r.image), r.instruction]].append(i)
        out: dict[int, SampledEdit] = {}
        for rows in batches([p.shape for p in prompts], len(prompts) or 1):
            self._sample([prompts[p] for p in rows], [members[p] for p in rows], requests, noisy, out)
        return [out[i] for i in range(len(requests))]

    def _prompt(self, picture: Image.Image, instruction: str) -> _Prompt:
        flow = self.policy.flow
        image, fit = flow.fit(picture)
        return _Prompt(image, fit, instruction, (image.size, flow.text_length(instruction)))

    def _sample(
        self,
        prompts: Sequence[_Prompt],
        members: Sequence[Sequence[int]],
        requests: Sequence[EditRequest],
        noisy: range,
        out: dict[int, SampledEdit],
    ) -> None:
        """The edits of prompts of one shape; `members[p]` are the requests of prompt p."""
        flow = self.policy.flow
        conditioning = flow.prepare([p.image for p in prompts], [p.instruction for p in prompts])
        encoded = [conditioning.select([p]) for p in range(len(prompts))]  # one object for all edits of a prompt
        pairs = [(p, i) for p, own in enumerate(members) for i in own]
        for first in range(0, len(pairs), self.batch_size):
            part = pairs[first : first + self.batch_size]
            rows = [p for p, _ in part]
            of_part = conditioning.select(rows)
            noise = flow.noise(of_part, [requests[i].start for _, i in part])
            seeds = [requests[i].seed for _, i in part]
            with self.products():
                trajectories = self.policy.sample(conditioning, rows, noise, seeds, self.steps, noisy)
            pictures = flow.decode(of_part, torch.stack([t.latents_SNC[-1] for t in trajectories]))
            for (p, i), trajectory, picture in zip(part, trajectories, pictures, strict=True):
                own = replace(trajectory, conditioning=encoded[p])
                out[i] = SampledEdit(prompts[p].shape, own, restore(picture, prompts[p].fit))


__all__ = ["EditDrawer", "EditRequest", "SampledEdit"]
