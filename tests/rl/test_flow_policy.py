"""The flow policy: its log-probabilities are those of sampling, its gradients those of the formulas, whatever the split."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from common.errors import BadInput
from editors.flow import sample
from editors.steps import KINDS, mean_kl, sde_step
from rl.config import OptimizerConfig
from rl.engine.torch import TorchEngine
from rl.policies.flow import FlowPolicy, StepNoise, collate, step_kl, step_seed
from tests.rl.flow_models import NOISE, LinearFlow, kontext_policy, linear_policy, trajectories

CONFIG = OptimizerConfig(lr=1e-2)
POLICIES = {
    "linear": linear_policy,
    "kontext": kontext_policy,
    "kontext guided": lambda noise=NOISE: kontext_policy(noise, true_cfg=3.0),
}


def logp(policy: Any, items: Any) -> torch.Tensor:
    with torch.no_grad():
        return policy(collate(items)).logp_BT


# ------------------------------------------------------------------------------------------------ log-probabilities
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", POLICIES)
def test_the_ratio_is_exactly_one_on_policy_and_not_after_an_update(name: str, kind: Any) -> None:
    policy = POLICIES[name](StepNoise(0.6, kind))
    items = trajectories(policy)
    old_BT = torch.stack([t.logp_T for t in items])
    assert old_BT.shape == (4, 3) and old_BT.isfinite().all()
    engine = TorchEngine(policy, CONFIG)
    out = engine.forward(collate(items))
    assert torch.equal(out.logp_BT.detach(), old_BT)
    engine.backward(-(out.logp_BT * torch.tensor([[1.0], [-1.0], [2.0], [0.5]])).sum())
    engine.step()
    assert not torch.equal(logp(policy, items), old_BT)


def test_log_probabilities_by_hand() -> None:
    """The published formula, on the velocity of the hand-written model, and torch's own normal distribution."""
    policy = linear_policy(StepNoise(0.6, "sde"))
    items = trajectories(policy, group=1)
    conditioning = items[0].conditioning
    for t in items[0].steps:
        sigma, after = (float(items[0].sigma_S[k]) for k in (t, t + 1))
        x, reached = (items[0].latents_SNC[k][None] for k in (t, t + 1))
        with torch.no_grad():
            v = policy.flow.velocity(conditioning, x, sigma)
        noise = 0.6 * math.sqrt(sigma / (1 - (after if sigma >= 1 else sigma)))
        dt = after - sigma
        mean = x * (1 + noise**2 / (2 * sigma) * dt) + v * (1 + noise**2 * (1 - sigma) / (2 * sigma)) * dt
        normal = torch.distributions.Normal(mean, noise * math.sqrt(-dt))
        expected = float(normal.log_prob(reached).mean())
        assert float(items[0].logp_T[t]) == pytest.approx(expected, abs=1e-5)


def test_only_steps_with_noise_are_given_back_and_the_window_is_the_one_asked_for() -> None:
    assert StepNoise().steps(4) == range(3)  # the last one's noise would stay in the picture
    assert StepNoise(first=1, count=2).steps(6) == range(1, 3)
    policy = linear_policy(StepNoise(0.6, first=1, count=2))
    items = trajectories(policy, steps=5)
    batch = collate(items)
    assert batch.before_BTNC.shape[:2] == batch.sigma_BT.shape == (4, 2)
    assert batch.sigma_BT[0].tolist() == pytest.approx([0.8, 0.6])
    assert batch.sigma_next_BT[0].tolist() == pytest.approx([0.6, 0.4])
    assert torch.equal(batch.after_BTNC[:, 0], batch.before_BTNC[:, 1])


def test_masked_steps_are_zero_and_have_no_gradient() -> None:
    policy = linear_policy()
    items = trajectories(policy)
    mask_BT = torch.tensor([[True, False, True]] * 4)
    out = policy(replace(collate(items), mask_BT=mask_BT))
    assert torch.equal(out.mask_BT, mask_BT) and float(out.logp_BT[:, 1].detach().abs().max()) == 0
    out.logp_BT[:, 1].sum().backward()
    assert all(p.grad is None or float(p.grad.abs().max()) == 0 for p in policy.parameters())


def test_a_trajectory_without_noise_is_the_editors_own_result() -> None:
    """The steps outside the window are those of `editors.flow.sample`, to the last bit."""
    policy = kontext_policy(StepNoise(0.6, first=3, count=1))
    (item,) = trajectories(policy, group=1)[:1]
    settings = replace(policy.flow.settings, steps=4)
    states = []
    end = sample(policy.flow, item.conditioning, item.latents_SNC[:1], settings, lambda k, x: states.append(x))
    assert end.shape == item.latents_SNC[:1].shape
    for k, state in enumerate(states[:3]):
        torch.testing.assert_close(state[0], item.latents_SNC[k + 1], rtol=1e-5, atol=1e-5)


def test_a_trajectory_depends_on_its_own_seed_alone() -> None:
    policy = linear_policy()
    both = trajectories(policy)
    again = trajectories(policy)
    assert all(torch.equal(a.latents_SNC, b.latents_SNC) for a, b in zip(both, again, strict=True))
    alone = policy.sample(both[0].conditioning, [0], both[1].latents_SNC[:1], [1], 4)
    torch.testing.assert_close(alone[0].latents_SNC, both[1].latents_SNC)
    assert len({step_seed(s, k) for s in range(50) for k in range(20)}) == 1000


def test_source_and_text_are_encoded_once_per_group() -> None:
    policy = linear_policy()
    items = trajectories(policy, group=5)
    assert policy.flow.encoded == 2  # type: ignore[attr-defined]
    assert len({id(t.conditioning) for t in items}) == 2
    batch = collate([items[7], items[0], items[9]])
    assert len(batch.conditioning) == 2 and list(batch.row_B) == [0, 1, 0]


# ---------------------------------------------------------------------------------------------------------- gradients
def test_gradients_are_those_of_the_formula_written_out() -> None:
    """The whole density in one expression of the three parameters of the hand-written model, differentiated by autograd."""
    policy = linear_policy(StepNoise(0.6, "dance"))
    batch = collate(trajectories(policy))
    weights_BT = torch.randn(batch.sigma_BT.shape, generator=torch.Generator().manual_seed(1))
    (policy(batch).logp_BT * weights_BT).sum().backward()
    weight, slope = (p.detach().double().requires_grad_() for p in (policy.model.weight, policy.model.slope))
    conditioning = batch.conditioning.select(batch.row_B)
    words = torch.tensor([len(t) / 10 for t in ("make the sky red", "add a hat")], dtype=torch.float64)[batch.row_B]
    x, reached = batch.before_BTNC.double(), batch.after_BTNC.double()
    t, after = (s.double()[..., None, None] for s in (batch.sigma_BT, batch.sigma_next_BT))
    source = conditioning.source.double()[:, None].expand_as(x)
    v = torch.cat([x, source], -1) @ weight.T + t * slope + words[:, None, None, None]
    dt = after - t
    score = -(x - (1 - t) * (x - t * v)) / t**2  # DanceGRPO: x0_hat = x - t v
    mean = x + dt * v - 0.5 * 0.6**2 * score * dt
    std = 0.6 * (-dt).sqrt()
    log_density = -((reached - mean) ** 2) / (2 * std**2) - std.log() - 0.5 * math.log(2 * math.pi)
    (log_density.mean((2, 3)) * weights_BT).sum().backward()
    torch.testing.assert_close(policy.model.weight.grad, weight.grad.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(policy.model.slope.grad, slope.grad.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_against_finite_differences(kind: Any) -> None:
    policy = linear_policy(StepNoise(0.6, kind))
    items = trajectories(policy)
    policy(collate(items)).logp_BT.sum().backward()
    for parameter in policy.parameters():
        index = (0,) * parameter.dim()
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter[index] += sign * 1e-2
            ends.append(float(logp(policy, items).double().sum()))
            with torch.no_grad():
                parameter[index] -= sign * 1e-2
        assert float(parameter.grad[index]) == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=2e-3, abs=1e-3)


def test_recomputed_blocks_give_the_same_gradient() -> None:
    grads = []
    for checkpointing in (False, True):
        policy = kontext_policy(gradient_checkpointing=checkpointing)
        policy(collate(trajectories(policy))).logp_BT.sum().backward()
        grads.append({n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["linear", "kontext"])
def test_one_by_eight_is_eight_by_one(name: str) -> None:
    """The gradient of an update does not depend on the micro-batches."""
    grads = []
    for size in (1, 3, 8):
        policy = POLICIES[name]()
        engine, items = TorchEngine(policy, CONFIG), trajectories(policy, group=4)
        for k in range(0, 8, size):
            part = items[k : k + size]
            sign = torch.tensor([(-1.0) ** i for i in range(k, k + len(part))])[:, None]
            engine.backward((sign * engine.forward(collate(part)).logp_BT).sum() / 24)
        grads.append({n: p.grad.clone() for n, p in policy.model.named_parameters()})
    scale = max(float(grad.abs().max()) for grad in grads[0].values())
    for other in grads[1:]:
        for key, grad in other.items():
            torch.testing.assert_close(grad, grads[0][key], rtol=1e-4, atol=1e-6 * scale)


# -------------------------------------------------------------------------------------------------------------- KL
def test_the_kl_to_a_frozen_copy_is_zero_until_the_policy_moves() -> None:
    policy = linear_policy()
    batch = collate(trajectories(policy))
    engine = TorchEngine(policy, CONFIG)
    reference = engine.frozen_copy()
    out = engine.forward(batch)
    assert float(step_kl(out.mean, reference(batch).mean, batch, NOISE).detach().abs().max()) == 0
    engine.backward(-out.logp_BT.sum())
    engine.step()
    moved = engine.forward(batch)
    kl_BT = step_kl(moved.mean, reference(batch).mean, batch, NOISE)
    assert kl_BT.shape == (4, 3) and float(kl_BT.detach().min()) > 0
    kl_BT.sum().backward()
    assert policy.model.slope.grad is not None
    assert torch.equal(reference(batch).logp_BT, out.logp_BT.detach())  # the copy stayed


@pytest.mark.parametrize("exact", [True, False])
def test_the_kl_of_a_step_is_that_of_the_steps_module(exact: bool) -> None:
    policy, other = linear_policy(), linear_policy(seed=1)
    batch = collate(trajectories(policy))
    with torch.no_grad():
        mean, reference = policy(batch).mean, other(batch).mean
    kl_BT = step_kl(mean, reference, batch, NOISE, exact)
    for t in range(3):
        step = sde_step(
            batch.before_BTNC[:, t], mean[:, t], batch.sigma_BT[:, t], batch.sigma_next_BT[:, t], 0.6, noise=mean[:, t]
        )
        scale = step.std if exact else step.diffusion
        torch.testing.assert_close(kl_BT[:, t], mean_kl(mean[:, t], reference[:, t], scale))


# ---------------------------------------------------------------------------------------------------------- engines
def test_a_copy_shares_all_but_the_transformer() -> None:
    policy = kontext_policy()
    engine = TorchEngine(policy, CONFIG)
    reference = engine.frozen_copy()
    batch = collate(trajectories(policy))
    assert torch.equal(reference(batch).logp_BT, logp(policy, trajectories(policy)))
    frozen = reference.policy
    assert isinstance(frozen, FlowPolicy) and frozen.model is frozen.flow.transformer is not policy.model
    assert frozen.flow.pipe.vae is policy.flow.pipe.vae  # type: ignore[attr-defined]
    assert not any(p.requires_grad for p in frozen.model.parameters())
    assert all(p.requires_grad for p in policy.model.parameters())


def test_a_state_dict_goes_round() -> None:
    first, second = (TorchEngine(linear_policy(seed=seed), CONFIG) for seed in (0, 7))
    items = trajectories(first.policy)
    for engine in (first, second):
        engine.backward(engine.forward(collate(items)).logp_BT.sum())
        engine.step()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for engine in (first, second):
        engine.backward(engine.forward(collate(items)).logp_BT.sum())
        engine.step()
    assert {n: p.tolist() for n, p in first.named_parameters()} == {n: p.tolist() for n, p in second.named_parameters()}


# ------------------------------------------------------------------------------------------------------------ errors
def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadInput, match="no density"):
        StepNoise(0.0)
    with pytest.raises(BadInput, match="for cps at most 1"):
        StepNoise(1.5, "cps")
    with pytest.raises(BadInput, match="unknown kind"):
        StepNoise(0.5, "heun")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="does not fit a trajectory of 4 steps"):
        StepNoise(first=2, count=3).steps(4)
    long, short = (trajectories(linear_policy(StepNoise(count=n))) for n in (3, 2))
    with pytest.raises(BadInput, match="equally many noisy steps"):
        collate([long[0], short[0]])
    with pytest.raises(BadInput, match="one grid"):
        collate([long[0], replace(long[2], conditioning=replace(long[2].conditioning, grid=(4, 4)))])


def test_the_hand_written_model_ignores_padding() -> None:
    model = LinearFlow()
    conditioning = trajectories(linear_policy())[2].conditioning
    padded = replace(conditioning.text, embeds=torch.nn.functional.pad(conditioning.text.embeds, (0, 0, 0, 3)))
    mask = torch.arange(padded.embeds.shape[1])[None] < conditioning.text.embeds.shape[1]
    x = torch.randn(1, 4, 2)
    wide = replace(conditioning, text=replace(padded, mask=mask))
    torch.testing.assert_close(model.velocity(conditioning, x, 0.5), model.velocity(wide, x, 0.5))
