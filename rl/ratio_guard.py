"""GRPO-Guard (arXiv 2510.22319): ratios of denoising steps that clipping treats alike.

With mu and s the mean and spread of a step, the published log-ratio is log r = e d / s - d^2 / (2 s^2), where d = mu - mu_old and e
is the noise that was drawn, averaged over the latents' dimensions. Its mean is below 0, and its spread is that of d / s, which
differs from step to step. Adding d^2 / (2 s^2) and multiplying by s leaves e d.
"""

from __future__ import annotations

from torch import Tensor

from editors.steps import Kind


def normalised_logp(
    logp_BT: Tensor, old_logp_BT: Tensor, mean_BTNC: Tensor, old_mean_BTNC: Tensor, std_BT: Tensor, kind: Kind
) -> Tensor:
    """[B, T]: what stands in place of log p, so that its difference to `old_logp_BT` is the mean of e d, with gradient. The
    densities of kind "cps" lack the factor 1 / (2 s^2), so that the same takes d^2 and 1 / (2 s); the paper has no such steps.
    Where the means are equal it is `old_logp_BT` exactly."""
    squared_BT = (mean_BTNC - old_mean_BTNC).square().flatten(2).mean(2)
    difference_BT = logp_BT - old_logp_BT
    if kind == "cps":
        return old_logp_BT + (difference_BT + squared_BT) / (2 * std_BT)
    return old_logp_BT + (difference_BT + squared_BT / (2 * std_BT**2)) * std_BT


def step_weights(sigma_BT: Tensor, sigma_next_BT: Tensor) -> Tensor:
    """[B, T]: 1 / (-dt), the factor of each step's policy-gradient loss, so that long and short steps have gradients of one
    size."""
    return 1 / (sigma_BT - sigma_next_BT)


__all__ = ["normalised_logp", "step_weights"]
