"""Log-probabilities of given denoising steps under a flow editor, exactly as they were sampled (Flow-GRPO, arXiv 2505.05470).

The steps and their densities are those of `editors/steps.py`, in fp32 around whatever precision the transformer has. Only the
transformer is trained. A picture and its instruction are encoded once for all trajectories of a group.

Suffixes: B trajectories, T noisy steps of each, S steps of each in all, N tokens and C channels of packed latents, P pictures
with their instructions.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from common.errors import BadInput
from editors.conditioning import Conditioning
from editors.flow import FlowModel, check_finite, time_of
from editors.steps import KINDS, Kind, SDEStep, noise_scales, ode_step, sde_step
from rl.engine.base import LogProbs
from rl.policies.base import Gather, Named, Policy
from rl.policies.lora import Lora
from rl.work import Work, flow_work


@dataclass(frozen=True)
class StepNoise:
    """Which steps of a trajectory are noisy, and how (see `editors.steps.sde_step`). The others are Euler steps.

    `count` noisy steps from step `first` on are a window as in Flow-GRPO-Fast and MixGRPO (arXiv 2507.21802); None makes every
    step from `first` on noisy except the last, whose noise would stay in the picture.
    """

    level: float = 0.7
    kind: Kind = "sde"
    first: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput(f"unknown kind of step {self.kind!r}; choose {', '.join(KINDS)}")
        if not self.level > 0 or (self.kind == "cps" and self.level > 1):
            raise BadInput(
                f"a noise level of {self.level} gives no density to train on; take more than 0, and for cps at most 1"
            )

    def steps(self, total: int) -> range:
        """The noisy ones of `total` steps. Raises BadInput where there are none, or not so many."""
        end = total - 1 if self.count is None else self.first + self.count
        if not 0 <= self.first < end <= total:
            raise BadInput(f"{self} does not fit a trajectory of {total} steps")
        return range(self.first, end)


@dataclass(frozen=True)
class Trajectory:
    """One sampled edit: what it was conditioned on (the same object for all of a group), the latents of all S + 1 states from
    noise to result in fp32, their sigmas, the T noisy steps, and the log-probabilities that these had when they were drawn."""

    conditioning: Conditioning
    latents_SNC: Tensor
    sigma_S: Tensor
    steps: range
    logp_T: Tensor


@dataclass(frozen=True)
class FlowBatch:
    """T given steps of each of B trajectories, all of one grid.

    conditioning: P pictures and instructions; row_B: which of them each trajectory belongs to. before_BTNC and after_BTNC: the
    latents before and after each step, fp32; sigma_BT and sigma_next_BT: their sigmas. mask_BT: True on steps that count; None:
    all of them. Every rank of a sharded engine must bring the same number T of steps.
    """

    conditioning: Conditioning
    row_B: Sequence[int]
    before_BTNC: Tensor
    after_BTNC: Tensor
    sigma_BT: Tensor
    sigma_next_BT: Tensor
    mask_BT: Tensor | None = None


def collate(trajectories: Sequence[Trajectory], chosen: Sequence[int] | None = None) -> FlowBatch:
    """The noisy steps of trajectories as a batch, or those of them at the places `chosen`, counted from 0. Raises BadInput where
    the trajectories differ in the number of noisy steps or in grid."""
    if len(counts := {len(t.steps) for t in trajectories}) != 1:
        raise BadInput(f"the trajectories of a batch have equally many noisy steps, not {sorted(counts)}")
    steps = [list(t.steps) if chosen is None else [t.steps[k] for k in chosen] for t in trajectories]
    after = [[k + 1 for k in own] for own in steps]
    conditioning, row_B = gathered(trajectories)
    return FlowBatch(
        conditioning,
        row_B,
        torch.stack([t.latents_SNC[own] for t, own in zip(trajectories, steps, strict=True)]),
        torch.stack([t.latents_SNC[own] for t, own in zip(trajectories, after, strict=True)]),
        torch.stack([t.sigma_S[own] for t, own in zip(trajectories, steps, strict=True)]),
        torch.stack([t.sigma_S[own] for t, own in zip(trajectories, after, strict=True)]),
    )


def gathered(trajectories: Sequence[Trajectory]) -> tuple[Conditioning, list[int]]:
    """What the trajectories were conditioned on, each once, and which of it each one belongs to. Raises BadInput where their
    grids differ."""
    distinct = {id(t.conditioning): t.conditioning for t in trajectories}
    place = {key: row for row, key in enumerate(distinct)}
    return Conditioning.concat(list(distinct.values())), [place[id(t.conditioning)] for t in trajectories]


class FlowPolicy(Policy[FlowBatch]):
    """A trainable view of a flow model: `forward(FlowBatch)` is everything a loss needs.

    The velocity of all trajectories at one step is one forward pass, as it was when they were sampled, so that on the same
    batch the ratio to the log-probabilities of sampling is exactly 1 before the first update.
    """

    def __init__(
        self, flow: FlowModel, noise: StepNoise, gradient_checkpointing: bool = False, lora: Lora | None = None
    ) -> None:
        """`noise` must be that of sampling. `gradient_checkpointing` recomputes the transformer's blocks in the backward pass.
        `lora`: adapters in the transformer's blocks are trained instead of the weights."""
        super().__init__()
        self.flow, self.noise, self.gradient_checkpointing, self.lora = flow, noise, gradient_checkpointing, lora
        self.model = flow.transformer
        if lora is not None:
            lora.attach_to_blocks(self.model)
        if gradient_checkpointing:
            self.model.enable_gradient_checkpointing()  # type: ignore[operator]

    def work(self, batch: FlowBatch) -> Work:
        """Of its own steps alone: pictures and instructions are encoded before."""
        given, image = batch.conditioning, batch.before_BTNC.shape[2] + batch.conditioning.source.shape[1]
        texts = [part.embeds.shape[1] for part in (given.text, given.negative) if part is not None]
        pictures, steps = batch.sigma_BT.shape
        config = getattr(self.model, "config", {})
        return flow_work(type(self.model).__name__, config, image, texts, pictures, steps)

    def forward(self, batch: FlowBatch) -> LogProbs:
        """Log-probabilities [B, T], a mean over the latents' dimensions as published, and the means of the steps [B, T, N, C]
        for an analytic KL (`step_kl`), both with gradient."""
        conditioning = batch.conditioning.select(batch.row_B)
        steps = [
            self._step(
                conditioning,
                batch.before_BTNC[:, t],
                batch.sigma_BT[:, t],
                batch.sigma_next_BT[:, t],
                sample=batch.after_BTNC[:, t],
            )
            for t in range(batch.sigma_BT.shape[1])
        ]
        logp_BT = torch.stack([step.log_prob for step in steps], 1)
        mask_BT = torch.ones_like(logp_BT, dtype=torch.bool) if batch.mask_BT is None else batch.mask_BT
        return LogProbs(logp_BT.masked_fill(~mask_BT, 0.0), mask_BT, mean=torch.stack([step.mean for step in steps], 1))

    @torch.no_grad()
    def sample(
        self,
        conditioning: Conditioning,
        row_B: Sequence[int],
        latents_BNC: Tensor,
        seeds: Sequence[int],
        steps: int,
        noisy: range | None = None,
    ) -> list[Trajectory]:
        """Sample a trajectory of `steps` steps from each row of noise, for row `row_B[b]` of the conditioning. Trajectory b draws
        the noise of its steps from `seeds[b]` alone. `noisy`: the steps with noise, where they are not those of the policy's own
        window; an empty range makes the editor's own result. Raises RunFailed where latents are no longer finite."""
        sigmas = self.flow.sigmas(conditioning, steps)
        noisy = self.noise.steps(steps) if noisy is None else noisy
        members = conditioning.select(row_B)
        states, logp = [latents_BNC], []
        self.flow.reset()
        for k in range(steps):
            sigma_B, next_B = (sigmas[i].expand(len(latents_BNC)) for i in (k, k + 1))
            if k in noisy:
                noise = self.flow.noise(members, [step_seed(seed, k) for seed in seeds])
                step = self._step(members, states[-1], sigma_B, next_B, noise=noise)
                logp.append(step.log_prob)
                states.append(step.latents)
            else:
                velocity = self.flow.velocity(members, states[-1], time_of(sigma_B))
                states.append(ode_step(states[-1], velocity, sigma_B, next_B))
            check_finite(states[-1], f"the latents after step {k + 1} of {steps}")
        groups = [conditioning.select([p]) for p in range(len(conditioning))]
        latents_BSNC = torch.stack(states, 1)
        logp_BT = torch.stack(logp, 1) if logp else latents_BNC.new_zeros(len(latents_BNC), 0)
        return [Trajectory(groups[p], latents_BSNC[b], sigmas, noisy, logp_BT[b]) for b, p in enumerate(row_B)]

    def _step(
        self,
        conditioning: Conditioning,
        latents: Tensor,
        sigma_B: Tensor,
        next_B: Tensor,
        noise: Tensor | None = None,
        sample: Tensor | None = None,
    ) -> SDEStep:
        velocity = self.flow.velocity(conditioning, latents, time_of(sigma_B))
        return sde_step(latents, velocity, sigma_B, next_B, self.noise.level, noise, sample, self.noise.kind)

    def export(self, gather: Gather) -> Named:
        """Adapters are merged into the matrices that they change."""
        return gather(lambda name: True) if self.lora is None else self.lora.export(gather)

    def share_frozen(self, source: Self) -> None:
        self.flow = source.flow.with_transformer(self.model)

    def __deepcopy__(self, memo: dict[int, Any]) -> FlowPolicy:
        """A copy of the transformer, adapters included; what is not trained (VAE, text encoders) is shared."""
        twin = type(self)(
            self.flow.with_transformer(copy.deepcopy(self.model, memo)), self.noise, self.gradient_checkpointing
        )
        twin.lora = self.lora  # its adapters are copies already
        return twin


def step_kl(
    mean_BTNC: Tensor, reference_BTNC: Tensor, batch: FlowBatch, noise: StepNoise, exact: bool = False
) -> Tensor:
    """[B, T]: the KL of each step to the reference's, mean over the latents' dimensions, in closed form: both are Gaussians of one
    spread. Flow-GRPO divides by 2 sigma_t^2 and leaves the time step out (the default); `exact` divides by 2 std^2."""
    std_BT, diffusion_BT = noise_scales(batch.sigma_BT, batch.sigma_next_BT, noise.level, noise.kind)
    scale_BT = std_BT if exact else diffusion_BT
    return (mean_BTNC - reference_BTNC).square().flatten(2).mean(2) / (2 * scale_BT**2)


def step_seed(seed: int, step: int) -> int:
    """A seed in [0, 2^31) for the noise of one step of one trajectory: the same in any batch and process."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}".encode()).digest()[:4], "big") & 0x7FFFFFFF


__all__ = ["FlowBatch", "FlowPolicy", "StepNoise", "Trajectory", "collate", "gathered", "step_kl", "step_seed"]
