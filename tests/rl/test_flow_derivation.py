"""A second derivation of Flow-GRPO in float64, from the definitions and torch's own distributions: steps, densities, KL and the
whole loss agree with the code to 1e-6, and noisy sampling ends in the distribution of sampling without noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from editors.steps import KINDS, Kind, mean_kl, ode_step, sde_step
from rl.flow_config import FlowGRPOConfig
from rl.losses import LossInputs, policy_loss
from rl.policies.flow import FlowBatch, StepNoise, step_kl

LEVEL = 0.6
STEPS = [(1.0, 0.9), (0.75, 0.6), (0.5, 0.2), (0.2, 0.05)]


@dataclass(frozen=True)
class Step:
    """The Gaussian of a step, worked out from the marginal path x = (1 - t) x0 + t eps in float64."""

    normal: Normal
    diffusion: float  # per square root of time


def derived(x: Tensor, v: Tensor, t: float, after: float, kind: Kind) -> Step:
    """x and v in float64. sde and dance: the reverse SDE dx = [v - g^2/2 score] dt + g dw (Song et al., arXiv 2011.13456), whose
    score is -E[eps] / t with E[eps] = x + (1 - t) v, by Euler and Maruyama. cps: predicted picture and noise, of which a share
    of the latter is drawn anew."""
    eps, clean = x + (1 - t) * v, x - t * v
    if kind == "cps":
        fresh = after * math.sin(LEVEL * math.pi / 2)
        kept = after * math.cos(LEVEL * math.pi / 2)
        return Step(Normal((1 - after) * clean + kept * eps, fresh), fresh / math.sqrt(t - after))
    if kind == "dance":
        g = LEVEL
    else:
        g = LEVEL * math.sqrt(t / (1 - (after if t == 1 else t)))
    score = -eps / t
    return Step(Normal(x + (after - t) * (v - g**2 / 2 * score), g * math.sqrt(t - after)), g)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("t", "after"), STEPS)
def test_mean_spread_and_density_of_a_step(t: float, after: float, kind: Kind) -> None:
    x, v, noise = draw(3, 2, 5, 4)
    step = derived(x, v, t, after, kind)
    ours = sde_step(x, v, t, after, LEVEL, noise=noise, kind=kind)
    assert float((ours.mean - step.normal.mean).abs().max()) < 1e-6
    assert float(ours.std) == pytest.approx(float(step.normal.stddev.flatten()[0]), abs=1e-6)
    assert float(ours.diffusion) == pytest.approx(step.diffusion, rel=1e-6)
    reached = step.normal.mean + step.normal.stddev * noise
    assert float((ours.latents - reached).abs().max()) < 1e-6
    stored = ours.latents.double()
    density_B = Independent(step.normal, 2).log_prob(stored) / 20  # of 5 tokens and 4 channels, as a mean
    if kind == "cps":  # published without scale and constant
        density_B = (density_B + math.log(float(step.normal.stddev[0, 0, 0])) + math.log(2 * math.pi) / 2) * (
            2 * float(step.normal.stddev[0, 0, 0]) ** 2
        )
    assert float((ours.log_prob - density_B).abs().max()) < 2e-6
    again = sde_step(x, v, t, after, LEVEL, sample=ours.latents, kind=kind)
    assert torch.equal(again.log_prob, ours.log_prob)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("t", "after"), STEPS)
def test_the_exact_kl_is_that_of_the_gaussians(t: float, after: float, kind: Kind) -> None:
    x, v, other = draw(3, 2, 5, 4, seed=1)
    ours, reference = derived(x, v, t, after, kind), derived(x, v + 0.1 * other, t, after, kind)
    expected_B = kl_divergence(ours.normal, reference.normal).mean((1, 2))
    batch = flow_batch(x, x, t, after)
    means = (ours.normal.mean[:, None].float(), reference.normal.mean[:, None].float())
    exact_BT = step_kl(*means, batch, StepNoise(LEVEL, kind), exact=True)
    assert float((exact_BT[:, 0] - expected_B).abs().max()) < 1e-6
    published_BT = step_kl(*means, batch, StepNoise(LEVEL, kind))
    assert float((published_BT[:, 0] - expected_B * (t - after)).abs().max()) < 1e-6
    torch.testing.assert_close(
        exact_BT[:, 0], mean_kl(means[0][:, 0], means[1][:, 0], float(ours.normal.stddev[0, 0, 0]))
    )


def flow_batch(x: Tensor, reached: Tensor, t: float, after: float) -> FlowBatch:
    sigma = torch.full((len(x), 1), t)
    nothing: object = None
    return FlowBatch(nothing, [0], x[:, None], reached[:, None], sigma, torch.full((len(x), 1), after))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_loss_and_its_gradient(kind: Kind) -> None:
    """Six trajectories of all steps: the velocity now, that of sampling, and the start's; advantages of both signs, ratios that
    are clipped on both sides, and the KL. In float64 by Gaussian densities, and by the code in float32."""
    config = FlowGRPOConfig(noise_kind=kind, noise_level=LEVEL, clip_low=0.002, clip_high=0.004, kl_coef=0.05)
    x, noise, old, start = draw(4, len(STEPS), 6, 5, 4, seed=2)
    now = (old + 0.1 * draw(len(STEPS), 6, 5, 4, seed=3)).requires_grad_()
    advantage_B = torch.tensor([1.5, -1.0, 0.3, -0.2, 2.0, -2.0], dtype=torch.float64)

    terms, clipped = [], 0
    for k, (t, after) in enumerate(STEPS):
        sampled = derived(x[k], old[k], t, after, kind)
        reached = (sampled.normal.mean + sampled.normal.stddev * noise[k]).float().double()  # latents are kept in fp32
        mine = derived(x[k], now[k], t, after, kind)
        difference = mine.normal.log_prob(reached) - sampled.normal.log_prob(reached)
        if kind == "cps":  # its log-densities are published without scale
            difference = difference * 2 * mine.normal.variance
        ratio_B = difference.mean((1, 2)).exp()
        bounded_B = ratio_B.clamp(1 - 0.002, 1 + 0.004)
        clipped += int((bounded_B != ratio_B).sum())
        gain_B = torch.minimum(advantage_B * ratio_B, advantage_B * bounded_B)
        kl_B = kl_divergence(mine.normal, derived(x[k], start[k], t, after, kind).normal).mean((1, 2)) * (t - after)
        terms.append(-gain_B + 0.05 * kl_B)
    expected = torch.stack(terms).mean()
    (gradient,) = torch.autograd.grad(expected, now)
    assert clipped >= 4

    velocity = now.detach().float().requires_grad_()
    steps, olds, kls = [], [], []
    for k, (t, after) in enumerate(STEPS):
        sampled_step = sde_step(x[k], old[k], t, after, LEVEL, noise=noise[k], kind=kind)
        step = sde_step(x[k], velocity[k], t, after, LEVEL, sample=sampled_step.latents, kind=kind)
        reference = sde_step(x[k], start[k], t, after, LEVEL, sample=sampled_step.latents, kind=kind)
        steps.append(step.log_prob)
        olds.append(sampled_step.log_prob)
        batch = flow_batch(x[k], x[k], t, after)
        kls.append(step_kl(step.mean[:, None], reference.mean[:, None], batch, StepNoise(LEVEL, kind))[:, 0])
    logp_BT = torch.stack(steps, 1)
    ours = policy_loss(
        LossInputs(
            logp_BT,
            torch.stack(olds, 1),
            advantage_B[:, None].float(),
            torch.ones_like(logp_BT, dtype=torch.bool),
            float(logp_BT.numel()),
            kl_BT=torch.stack(kls, 1),
        ),
        config.loss(),
    )
    assert float(ours.loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
    ours.loss.backward()
    assert velocity.grad is not None and float((velocity.grad - gradient).abs().max()) < 1e-6


@pytest.mark.parametrize("kind", ["sde", "dance"])
def test_noisy_and_noiseless_sampling_end_in_the_same_distribution(kind: Kind) -> None:
    """Data N(m, C) in two dimensions, whose exact velocity is E[eps - x0 | x]: mean and covariance of what is sampled are those
    of the data, within sampling error and the error of finite steps, with noise as without."""
    mean = torch.tensor([0.5, -0.3], dtype=torch.float64)
    covariance = torch.tensor([[0.5, 0.3], [0.3, 0.4]], dtype=torch.float64)
    rows, steps = 20_000, 250

    def velocity(x: Tensor, t: float) -> Tensor:
        spread = (1 - t) ** 2 * covariance + t**2 * torch.eye(2, dtype=torch.float64)
        apart = torch.linalg.solve(spread, (x.double() - (1 - t) * mean)[..., None])[..., 0]
        return t * apart - (mean + (1 - t) * apart @ covariance)

    ends = []
    for noisy in (False, True):
        generator = torch.Generator().manual_seed(5)
        x = torch.randn(rows, 1, 2, generator=generator)
        sigmas = torch.linspace(1, 0, steps + 1).tolist()
        for t, after in zip(sigmas[:-1], sigmas[1:], strict=True):
            v = velocity(x, t)
            if noisy:
                x = sde_step(x, v, t, after, 0.7, noise=torch.randn(rows, 1, 2, generator=generator), kind=kind).latents
            else:
                x = ode_step(x, v, t, after)
        ends.append(x[:, 0].double())
    for end in ends:
        assert float((end.mean(0) - mean).abs().max()) < 4 / math.sqrt(rows)
        assert float((end.T.cov() - covariance).abs().max()) < 0.02
    assert float((ends[0].T.cov() - ends[1].T.cov()).abs().max()) < 0.02
