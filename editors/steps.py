"""One step of a flow: the plain Euler step, and the noisy steps of reinforcement learning with their densities.

Convention: sigma in [0, 1] is the share of noise, x = (1 - sigma) x0 + sigma eps, the model's velocity is v = eps - x0, and
sampling goes from sigma = 1 to 0. Everything is computed in float32, since bfloat16 loses the differences of nearby numbers.
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
Kind: TypeAlias = Literal["sde", "dance", "cps"]
KINDS: tuple[Kind, ...] = ("sde", "dance", "cps")


@dataclass(frozen=True)
class SDEStep:
    """A noisy step: the latents after it, the Gaussian they were drawn from, and their log-density."""

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
    """A step with noise, and the log-density of the latents after it.

    `noise` (standard normal, [B, N, C]) makes a new step; `sample` is a stored result whose density is wanted under this
    velocity. The kinds:

    * "sde": the Euler-Maruyama step of Flow-GRPO (arXiv 2505.05470) with sigma_t = noise_level sqrt(t / (1 - t)); at t = 1 the
      next sigma stands in the denominator. With small steps it samples the same pictures as `ode_step`.
    * "dance": the same with a constant sigma_t = noise_level (DanceGRPO, arXiv 2505.07818).
    * "cps": the coefficients of the predicted picture, the predicted noise and the new noise keep the schedule, at any step
      size: (1 - t') of picture, and t'^2 = (t' cos)^2 + (t' sin)^2 of noise (arXiv 2509.05952). What it samples does not keep the
      marginals, however small the steps: a prediction is an average, so the part of the noise that it has averaged away is
      missing. On a Gaussian with exact velocity at noise level 0.8 the spread of the results is 28 % too small with 10 steps and
      22 % with 200 (the Euler step: 13 % and 1 %). Its log_prob is -(sample - mean)^2 without scale, as published.

    Gradients flow through the mean, never through the sample. With `noise_level` 0 it is `ode_step` exactly, and its log_prob
    is 0. Raises BadInput for an impossible noise level, an unknown kind, or where not exactly one of noise and sample is given.
    """
    if kind not in KINDS:
        raise BadInput(f"unknown kind of step {kind!r}; choose {', '.join(KINDS)}")
    if noise_level < 0 or kind == "cps" and noise_level > 1:
        raise BadInput(f"a noise level of {noise_level} is impossible; take at least 0, and for cps at most 1")
    if noise_level == 0:
        if sample is not None:
            raise BadInput(
                "a step without noise has no density: a stored sample needs the noise level it was made with"
            )
        return _without_noise(ode_step(x, v, sigma, sigma_next))
    if (noise is None) == (sample is None):
        raise BadInput("a step with noise needs either noise (for a new step) or sample (a stored one), and not both")
    x, v = x.float(), v.float()
    t, after = _rows(sigma, x), _rows(sigma_next, x)
    std, diffusion = noise_scales(t, after, noise_level, kind)
    if kind == "cps":
        clean, eps = x - t * v, x + (1 - t) * v
        mean = (1 - after) * clean + (after**2 - std**2).clamp(min=0).sqrt() * eps
    else:
        dt, drift = after - t, diffusion**2 / (2 * t)
        mean = x * (1 + drift * dt) + v * (1 + drift * (1 - t)) * dt
    latents = sample.float() if sample is not None else (mean + std * noise.float()).detach()  # type: ignore[union-attr]
    error = (latents.detach() - mean) ** 2
    if kind != "cps":
        error = error / (2 * std**2) + std.log() + 0.5 * math.log(2 * math.pi)
    return SDEStep(latents, mean, std, diffusion, -error.flatten(1).mean(1))


def noise_scales(sigma: Tensor, sigma_next: Tensor, noise_level: float, kind: Kind) -> tuple[Tensor, Tensor]:
    """(std, diffusion) of a noisy step, in the shape of the sigmas: see `SDEStep`."""
    if kind == "cps":
        std = sigma_next * math.sin(noise_level * math.pi / 2)
        return std, std / (sigma - sigma_next).sqrt()
    if kind == "dance":
        diffusion = torch.full_like(sigma, noise_level)
    else:
        diffusion = noise_level * (sigma / (1 - torch.where(sigma >= 1, sigma_next, sigma))).sqrt()
    return diffusion * (sigma - sigma_next).sqrt(), diffusion


def mean_kl(mean: Tensor, reference: Tensor, scale: Tensor | float) -> Tensor:
    """[B]: the KL of two Gaussians of equal spread, mean over dimensions: (mean - reference)^2 / (2 scale^2).

    `scale=step.std` is exact; Flow-GRPO leaves the time step out and takes `scale=step.diffusion`.
    """
    return ((mean.float() - reference.float()) ** 2 / (2 * torch.as_tensor(scale) ** 2)).flatten(1).mean(1)


def _without_noise(latents: Tensor) -> SDEStep:
    zero = latents.new_zeros(1, 1, 1)
    return SDEStep(latents, latents, zero, zero, latents.new_zeros(len(latents)))


def _rows(sigma: Sigma, x: Tensor) -> Tensor:
    """A sigma as float32 that broadcasts against x: scalars as they are, [B] as [B, 1, 1]."""
    value = torch.as_tensor(sigma, dtype=torch.float32, device=x.device)
    return value.reshape(-1, *(1,) * (x.dim() - 1)) if value.dim() else value


__all__ = ["KINDS", "Kind", "SDEStep", "Sigma", "mean_kl", "noise_scales", "ode_step", "sde_step"]
