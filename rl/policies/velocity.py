"""The velocities of a flow editor at given noisy latents, for losses on the forward process such as DiffusionNFT's.

Suffixes: B edits, T times of each, N tokens and C channels of packed latents.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from editors.flow import time_of
from rl.engine.base import LogProbs
from rl.policies.flow import FlowBatch, FlowPolicy, Trajectory, gathered


class VelocityPolicy(FlowPolicy):
    """`forward(FlowBatch)` gives velocities in place of log-probabilities; trajectories are sampled as a `FlowPolicy` does."""

    def forward(self, batch: FlowBatch) -> LogProbs:
        """`mean` [B, T, N, C]: the velocity at `before_BTNC` and `sigma_BT`, with gradient. `logp_BT` is 0: there are no
        probabilities, only the dependence on the weights that an engine's idle turn needs."""
        conditioning = batch.conditioning.select(batch.row_B)
        velocity_BTNC = torch.stack(
            [
                self.flow.velocity(conditioning, batch.before_BTNC[:, t], time_of(batch.sigma_BT[:, t]))
                for t in range(batch.sigma_BT.shape[1])
            ],
            1,
        )
        zero_BT = velocity_BTNC.flatten(2).sum(2) * 0.0
        return LogProbs(zero_BT, torch.ones_like(zero_BT, dtype=torch.bool), mean=velocity_BTNC)


def noised_batch(trajectories: Sequence[Trajectory], noise: Sequence[Tensor], sigmas: Sequence[Tensor]) -> FlowBatch:
    """The results x_0 of trajectories, noised: x_t = (1 - t) x_0 + t eps at the times `sigmas` [T] of each, with its `noise`
    [T, N, C]. `after_BTNC` is x_0. Raises BadInput where grids differ."""
    conditioning, row_B = gathered(trajectories)
    sigma_BT = torch.stack(list(sigmas))
    clean_BTNC = torch.stack([t.latents_SNC[-1] for t in trajectories])[:, None].expand(-1, sigma_BT.shape[1], -1, -1)
    noise_BTNC = torch.stack(list(noise))
    t = sigma_BT[..., None, None]
    noisy_BTNC = (1 - t) * clean_BTNC + t * noise_BTNC
    return FlowBatch(conditioning, row_B, noisy_BTNC, clean_BTNC, sigma_BT, torch.zeros_like(sigma_BT))


__all__ = ["VelocityPolicy", "noised_batch"]
