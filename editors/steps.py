"""One step of a flow: the plain Euler step, and the noisy steps that reinforcement learning needs, with their densities.

Convention: sigma in [0, 1] is the share of noise, x = (1 - sigma) x0 + sigma eps, the model's velocity is v = eps - x0, and
sampling goes from sigma = 1 to 0. Everything is computed in float32 (differences of nearby numbers: bf16 loses them).
Latents are packed, [B, N, C]; a sigma is a number, a scalar tensor, or one per row, [B].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from common.errors import BadInput

Sigma: TypeAlias = "float | Tensor"
Kind = Literal["sde", "cps"]


@dataclass(frozen=True)
class SDEStep:
    """A noisy step: where it led, the Gaussian it was drawn from, and the log-density of what was drawn."""

    latents: Tensor  # [B, N, C]
    mean: Tensor  # [B, N, C]
    std: Tensor  # of the noise that was added, broadcasts against mean
    diffusion: Tensor  # sigma_t, the noise per square root of time: std = diffusion * sqrt(-dt)
    log_prob: Tensor  # [B], mean over the latents' dimensions


def ode_step(x: Tensor, v: Tensor, sigma: Sigma, sigma_next: Sigma) -> Tensor:
    """Euler's step of dx = v dt from sigma to sigma_next, as FlowMatchEulerDiscreteScheduler does it."""
    x, v = x.float(), v.float()
    return x + (_rows(sigma_next, x) - _rows(sigma, x)) * v


def sde_step(
    x: Tensor,
    v: Tensor,
    sigma: Sigma,
    sigma_next: Sigma,
    noise_level: float,
    noise: Tensor | None = None,
    sample: Tensor | None = None,
    kind: Kind = "sde",
) -> SDEStep:
    """A step with noise that arrives where the Euler steps arrive, and the log-density of where it led.

    `noise` (standard normal, [B, N, C]) makes a new step; `sample` is a stored result whose density is wanted under this
    velocity. `kind`: "sde" is the Euler-Maruyama step of Flow-GRPO (arXiv 2505.05470) with sigma_t = noise_level sqrt(t / (1 - t));
    at t = 1 the next sigma stands in the denominator; it keeps the marginals where steps are small. "cps" keeps the shares of
    picture and noise that the schedule says, at any step size (arXiv 2509.05952); its log_prob is -(sample - mean)^2 without
    scale, as published.

    Gradients flow through the mean, never through the sample. Without noise (`noise_level` 0) it is `ode_step` exactly, and
    its log_prob is 0. Raises BadInput for an impossible noise level, an unknown kind, or where not exactly one of noise and
    sample is given.
    """
    if noise_level < 0 or kind == "cps" and noise_level > 1:
        raise BadInput(f"a noise level of {noise_level} is impossible; take at least 0, and for cps at most 1")
    if noise_level == 0:
        if sample is not None:
            raise BadInput(
                "a step without noise has no density: a stored sample needs the noise level it was made with"
            )
        return _sure(ode_step(x, v, sigma, sigma_next))
    if (noise is None) == (sample is None):
        raise BadInput("a step with noise needs either noise (for a new step) or sample (a stored one), and not both")
    if kind == "sde":
        mean, std, diffusion = _sde(x.float(), v.float(), sigma, sigma_next, noise_level)
    elif kind == "cps":
        mean, std, diffusion = _cps(x.float(), v.float(), sigma, sigma_next, noise_level)
    else:
        raise BadInput(f"unknown kind of step {kind!r}; choose sde or cps")
    reached = sample.float() if sample is not None else (mean + std * noise.float()).detach()  # type: ignore[union-attr]
    error = (reached.detach() - mean) ** 2
    if kind == "sde":
        error = error / (2 * std**2) + std.log() + 0.5 * math.log(2 * math.pi)
    return SDEStep(reached, mean, std, diffusion, -error.flatten(1).mean(1))


def mean_kl(mean: Tensor, reference: Tensor, scale: Tensor | float) -> Tensor:
    """[B]: KL of two Gaussians of equal spread, mean over dimensions: (mean - reference)^2 / (2 scale^2).

    `scale=step.std` is the exact one; Flow-GRPO leaves the time step out and takes `scale=step.diffusion`.
    """
    return ((mean.float() - reference.float()) ** 2 / (2 * torch.as_tensor(scale) ** 2)).flatten(1).mean(1)


def _sde(x: Tensor, v: Tensor, sigma: Sigma, sigma_next: Sigma, level: float) -> tuple[Tensor, Tensor, Tensor]:
    t, after = _rows(sigma, x), _rows(sigma_next, x)
    dt = after - t
    diffusion = level * (t / (1 - torch.where(t >= 1, after, t))).sqrt()
    drift = diffusion**2 / (2 * t)
    mean = x * (1 + drift * dt) + v * (1 + drift * (1 - t)) * dt
    return mean, diffusion * (-dt).sqrt(), diffusion


def _cps(x: Tensor, v: Tensor, sigma: Sigma, sigma_next: Sigma, level: float) -> tuple[Tensor, Tensor, Tensor]:
    t, after = _rows(sigma, x), _rows(sigma_next, x)
    std = after * math.sin(level * math.pi / 2)
    clean, noise = x - t * v, x + (1 - t) * v
    mean = (1 - after) * clean + (after**2 - std**2).clamp(min=0).sqrt() * noise
    return mean, std, std / (t - after).sqrt()


def _sure(latents: Tensor) -> SDEStep:
    zero = latents.new_zeros(1, 1, 1)
    return SDEStep(latents, latents, zero, zero, latents.new_zeros(len(latents)))


def _rows(sigma: Sigma, x: Tensor) -> Tensor:
    """A sigma as float32 that broadcasts against x: scalars as they are, [B] as [B, 1, 1]."""
    value = torch.as_tensor(sigma, dtype=torch.float32, device=x.device)
    return value.reshape(-1, *(1,) * (x.dim() - 1)) if value.dim() else value


__all__ = ["Kind", "SDEStep", "Sigma", "mean_kl", "ode_step", "sde_step"]
