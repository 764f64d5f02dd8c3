"""Flow matching: ends of the path, the velocity that leads back, weights and loss by hand."""

import pytest
import torch

from experiments.tiny.flow_matching import flow_matching_loss, interpolate, logit_normal, token_weights


def test_the_path_runs_from_picture_to_noise() -> None:
    picture, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    at_0, v = interpolate(picture, noise, torch.zeros(2))
    at_1, _ = interpolate(picture, noise, torch.ones(2))
    assert torch.equal(at_0, picture) and torch.equal(at_1, noise)
    middle, _ = interpolate(picture, noise, torch.full((2,), 0.25))
    torch.testing.assert_close(middle - 0.25 * v, picture)  # one Euler step of size t undoes the noise


def test_changed_tokens_weigh_nine_times_and_every_picture_alike() -> None:
    source = torch.zeros(2, 3, 2)
    result = torch.stack([torch.tensor([[0.0, 0.0], [0.0, 0.5], [0.05, 0.0]]), torch.ones(3, 2)])
    some, all_of_it = token_weights(source, result)[..., 0]
    torch.testing.assert_close(some, torch.tensor([1.0, 9.0, 1.0]) * 3 / 11)
    torch.testing.assert_close(all_of_it, torch.ones(3))  # and so does a picture in which nothing changes
    torch.testing.assert_close(token_weights(source, source)[..., 0], torch.ones(2, 3))


def test_loss_by_hand() -> None:
    velocity, target = torch.tensor([[[1.0], [3.0]]]), torch.zeros(1, 2, 1)
    weights = torch.tensor([[[0.5], [1.5]]])
    assert flow_matching_loss(velocity, target, weights).item() == pytest.approx((0.5 * 1 + 1.5 * 9) / 2)
    assert flow_matching_loss(target, target, weights).item() == 0


def test_times_lie_inside_and_centre_on_a_half() -> None:
    t = logit_normal(4000, torch.Generator().manual_seed(0))
    assert t.min() > 0 and t.max() < 1
    assert t.median().item() == pytest.approx(0.5, abs=0.03)
