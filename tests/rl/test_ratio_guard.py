"""GRPO-Guard: normalised log-ratios are e d, with mean 0 and one spread, whatever the step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from editors.steps import KINDS, Kind, noise_scales, sde_step
from rl.ratio_guard import normalised_logp, step_weights

STEPS = [(0.95, 0.9), (0.7, 0.4), (0.3, 0.25)]


def parts(kind: Kind, rows: int = 400, apart: float = 0.02) -> tuple[Tensor, ...]:
    """Log-probabilities and means of given steps under velocities of sampling, and under ones that are a little off, together
    with the noise that was drawn."""
    generator = torch.Generator().manual_seed(0)
    x, old, noise, shift = torch.randn(4, rows, 6, 4, generator=generator)
    out = []
    for t, after in STEPS:
        sampled = sde_step(x, old, t, after, 0.5, noise=noise, kind=kind)
        now = sde_step(x, old + apart * shift, t, after, 0.5, sample=sampled.latents, kind=kind)
        out.append((now.log_prob, sampled.log_prob, now.mean, sampled.mean))
    logp, old_logp, mean, old_mean = (torch.stack(column, 1).double() for column in zip(*out, strict=True))
    sigma, following = (torch.tensor(column)[None].expand(rows, -1) for column in zip(*STEPS, strict=True))
    std, _ = noise_scales(sigma, following, 0.5, kind)
    return logp, old_logp, mean, old_mean, std, noise


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_ratio_is_the_noise_times_the_move_of_the_mean(kind: Kind) -> None:
    logp, old, mean, old_mean, std, noise = parts(kind)
    log_ratio = normalised_logp(logp, old, mean, old_mean, std, kind) - old
    expected = (noise[:, None] * (mean - old_mean)).flatten(2).mean(2)
    torch.testing.assert_close(log_ratio, expected, rtol=1e-3, atol=2e-6)


def test_the_plain_log_ratio_leans_below_zero_and_the_normalised_one_does_not() -> None:
    logp, old, mean, old_mean, std, _ = parts("sde", rows=3000, apart=1.0)
    plain, guarded = logp - old, normalised_logp(logp, old, mean, old_mean, std, "sde") - old
    error = guarded.std(0) / 3000**0.5
    assert bool((plain.mean(0) < -4 * plain.std(0) / 3000**0.5).all())
    assert bool((guarded.mean(0).abs() < 4 * error).all())


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_exactly_the_old_one_before_the_first_update(kind: Kind) -> None:
    _, old, _, old_mean, std, _ = parts(kind)
    assert torch.equal(normalised_logp(old, old, old_mean, old_mean, std, kind), old)


def test_weights_are_one_over_the_length_of_a_step() -> None:
    assert step_weights(torch.tensor([[1.0, 0.5]]), torch.tensor([[0.5, 0.25]])).tolist() == [[2.0, 4.0]]
