"""The loss of DiffusionNFT by hand, its fixed points, and its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rl.nft_loss import nft_loss, old_decay, optimality, velocity_distance


def one(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), value)


def by_hand(v: float, old: float, x: float, clean: float, t: float, r: float, beta: float, clip: float) -> float:
    """One number: w is |error|, so that each part is the absolute error."""
    positive = abs(x - t * (beta * v + (1 - beta) * old) - clean)
    negative = abs(x - t * ((1 + beta) * old - beta * v) - clean)
    return clip / beta * (r * positive + (1 - r) * negative)


@pytest.mark.parametrize("beta", [1.0, 0.1])
@pytest.mark.parametrize("r", [0.0, 0.3, 1.0])
def test_one_number_by_hand(r: float, beta: float) -> None:
    v, old, x, clean, t = 1.5, 1.0, 2.0, 0.5, 0.8
    terms = nft_loss(one(v), one(old), one(x), one(clean), torch.tensor([[t]]), torch.tensor([r]), beta, 5.0)
    assert float(terms.loss) == pytest.approx(by_hand(v, old, x, clean, t, r, beta, 5.0), rel=1e-5)
    assert float(terms.loss) == pytest.approx(5 / beta * (r * float(terms.positive) + (1 - r) * float(terms.negative)))


def test_two_numbers_by_hand() -> None:
    """x_0 errors of v+ are 0.2 and 0.4: mean square 0.1, w+ 0.3. Those of v- (beta = 1, v_old = 0) are 1.0 and 0.6."""
    x = torch.tensor([0.6, 0.5]).reshape(1, 1, 2, 1)
    v = torch.tensor([0.4, 0.1]).reshape(1, 1, 2, 1)
    terms = nft_loss(v, 0 * v, x, 0 * x, torch.ones(1, 1), torch.tensor([0.25]), 1.0, 2.0)
    assert float(terms.positive) == pytest.approx(0.1 / 0.3, rel=1e-5)
    assert float(terms.negative) == pytest.approx(0.68 / 0.8, rel=1e-5)
    assert float(terms.loss) == pytest.approx(2 * (0.25 * 0.1 / 0.3 + 0.75 * 0.68 / 0.8), rel=1e-5)


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x_t, x_0, t, and the exact velocity eps - x_0, [2, 3, 4, 5]."""
    clean, noise = torch.randn(2, 2, 1, 4, 5, generator=torch.Generator().manual_seed(seed))
    sigma = torch.tensor([[0.9, 0.5, 0.2]] * 2)
    t = sigma[..., None, None]
    return (1 - t) * clean + t * noise, clean.expand(-1, 3, -1, -1), sigma, (noise - clean).expand(-1, 3, -1, -1)


def test_a_velocity_that_reaches_a_good_edit_has_no_loss() -> None:
    noisy, clean, sigma, exact = batch()
    old = exact + 0.3
    terms = nft_loss(exact, old, noisy, clean, sigma, torch.ones(2), 1.0, 5.0)
    assert float(terms.positive.max()) < 1e-3  # 1e-5, the floor of the weight, divides fp32 noise


def test_good_edits_attract_the_velocity_and_bad_ones_push_it_away() -> None:
    noisy, clean, sigma, exact = batch()
    old = exact + 0.3 * torch.randn(exact.shape, generator=torch.Generator().manual_seed(1))
    for r, sign in ((1.0, 1), (0.0, -1)):
        v = old.clone().requires_grad_()
        nft_loss(v, old, noisy, clean, sigma, torch.full((2,), r), 1.0, 5.0).loss.sum().backward()
        assert v.grad is not None
        towards = ((exact - old) * -v.grad).sum((2, 3))
        assert bool((sign * towards > 0).all())


def test_edits_that_are_neither_good_nor_bad_have_no_gradient_at_the_old_velocity() -> None:
    noisy, clean, sigma, exact = batch()
    v = (exact + 0.3).requires_grad_()
    nft_loss(v, v.detach(), noisy, clean, sigma, torch.full((2,), 0.5), 0.7, 5.0).loss.sum().backward()
    assert v.grad is not None and float(v.grad.abs().max()) < 1e-6


def test_the_weights_and_the_old_velocity_have_no_gradient() -> None:
    """With w held, the derivative of r |e|^2 / w is 2 r e de / w."""
    noisy, clean, sigma, exact = batch()
    v, old = (exact + 0.2).requires_grad_(), (exact - 0.1).requires_grad_()
    nft_loss(v, old, noisy, clean, sigma, torch.ones(2), 1.0, 5.0).loss.sum().backward()
    t = sigma[..., None, None]
    error = (noisy - t * v - clean).detach()
    weight = error.abs().mean((2, 3), keepdim=True)
    assert old.grad is None and v.grad is not None
    torch.testing.assert_close(v.grad, 5 * 2 * error * -t / weight / 20, rtol=1e-3, atol=1e-5)


def test_optimality_is_the_advantage_in_zero_to_one() -> None:
    assert optimality(torch.tensor([-9.0, -5.0, 0.0, 2.5, 5.0]), 5.0).tolist() == [0, 0, 0.5, 0.75, 1]


def test_the_old_policy_follows_as_published() -> None:
    assert [old_decay("ramp", k) for k in (0, 10, 1000)] == pytest.approx([0, 0.01, 0.5])
    assert [old_decay("late_ramp", k) for k in (0, 75, 76, 1000)] == pytest.approx([0, 0, 0.0075, 0.999])
    assert old_decay("none", 500) == 0


def test_distance_of_velocities() -> None:
    v = torch.tensor([1.0, 3.0]).reshape(1, 1, 2, 1)
    assert float(velocity_distance(v, 0 * v)) == 5.0
