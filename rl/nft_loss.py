"""The loss of DiffusionNFT (arXiv 2509.16117): supervised learning on the editor's own results, towards the good ones and away from
the bad ones. A pure function.

Suffixes: B edits, T times of each, N tokens and C channels of packed latents.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

SMALLEST_WEIGHT = 1e-5  # of w+ and w-, as published


@dataclass(frozen=True)
class NFTTerms:
    """[B, T] each: the loss without its normaliser, and its parts without their factors."""

    loss: Tensor
    positive: Tensor
    negative: Tensor


def optimality(advantage_B: Tensor, clip: float) -> Tensor:
    """[B]: r = A / (2 clip) + 1/2 in [0, 1], how good an edit is for its group; 1/2 is neither."""
    return (advantage_B / (2 * clip) + 0.5).clamp(0, 1)


def nft_loss(
    velocity_BTNC: Tensor,
    old_BTNC: Tensor,
    noisy_BTNC: Tensor,
    clean_BTNC: Tensor,
    sigma_BT: Tensor,
    r_B: Tensor,
    beta: float,
    clip: float,
) -> NFTTerms:
    """clip / b [ r |x_t - t v+ - x_0|^2 / w+ + (1 - r) |x_t - t v- - x_0|^2 / w- ], means over the latents' dimensions, with

    v+ = b v + (1 - b) v_old, v- = (1 + b) v_old - b v, and w = max(mean |x_t - t v - x_0|, 1e-5) without gradient: a weight that
    makes every time count alike. The gradient is in `velocity_BTNC`; everything is computed in fp32.
    """
    velocity, old = velocity_BTNC.float(), old_BTNC.detach().float()
    t = sigma_BT[..., None, None]
    positive_BT = _distance(noisy_BTNC - t * (beta * velocity + (1 - beta) * old) - clean_BTNC)
    negative_BT = _distance(noisy_BTNC - t * ((1 + beta) * old - beta * velocity) - clean_BTNC)
    r_B1 = r_B[:, None]
    return NFTTerms(
        clip / beta * (r_B1 * positive_BT + (1 - r_B1) * negative_BT), positive_BT.detach(), negative_BT.detach()
    )


def _distance(error_BTNC: Tensor) -> Tensor:
    """[B, T]: the mean square error over its own mean absolute value."""
    weight_BT = error_BTNC.detach().abs().flatten(2).mean(2).clamp(min=SMALLEST_WEIGHT)
    return error_BTNC.square().flatten(2).mean(2) / weight_BT


def velocity_distance(velocity_BTNC: Tensor, reference_BTNC: Tensor) -> Tensor:
    """[B, T]: mean square difference of velocities, which stands for the KL to the start."""
    return (velocity_BTNC - reference_BTNC.detach()).square().flatten(2).mean(2)


def old_decay(kind: str, step: int) -> float:
    """The old policy's share of itself after step `step` (from 0): "ramp" 0.001 k, at most 0.5; "late_ramp" 0 until step 75, then
    0.0075 (k - 75), at most 0.999; "none" 0, so that edits are sampled from the newest weights."""
    if kind == "none":
        return 0.0
    return min(0.5, 0.001 * step) if kind == "ramp" else min(0.999, 0.0075 * max(0, step - 75))


__all__ = ["NFTTerms", "nft_loss", "old_decay", "optimality", "velocity_distance"]
