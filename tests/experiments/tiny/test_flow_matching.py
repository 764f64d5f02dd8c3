"""Flow matching: ends of the path, the velocity that leads back, averages and schedules by hand."""

import pytest
import torch

from experiments.tiny.flow_matching import (
    Average,
    flow_matching_loss,
    interpolate,
    logit_normal,
    token_weights,
    trapezoid,
)


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
    velocity, wanted = torch.tensor([[[1.0], [3.0]]]), torch.zeros(1, 2, 1)
    weights = torch.tensor([[[0.5], [1.5]]])
    assert flow_matching_loss(velocity, wanted, weights).item() == pytest.approx((0.5 * 1 + 1.5 * 9) / 2)
    assert flow_matching_loss(wanted, wanted, weights).item() == 0


def test_times_lie_inside_and_centre_on_a_half() -> None:
    t = logit_normal(4000, torch.Generator().manual_seed(0))
    assert t.min() > 0 and t.max() < 1
    assert t.median().item() == pytest.approx(0.5, abs=0.03)


def test_average_swaps_there_and_back_and_follows() -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    average = Average({"w": weight}, decay=0.5)
    with torch.no_grad():
        weight.fill_(4.0)
    average.update()  # decay min(0.5, 2/21): the average moves by 19/21
    average.swap()
    torch.testing.assert_close(weight.detach(), torch.full((3,), 4 * 19 / 21))
    average.swap()
    assert torch.equal(weight.detach(), torch.full((3,), 4.0))


def test_average_state_round_trip() -> None:
    weight = torch.nn.Parameter(torch.randn(3))
    first, second = (Average({"w": weight}, 0.9) for _ in range(2))
    with torch.no_grad():
        weight.add_(1)
    first.update()
    second.load_state_dict(first.state_dict())
    for average in (first, second):
        average.update()
    assert torch.equal(first.values["w"], second.values["w"]) and first.step == second.step == 2


@pytest.mark.parametrize("step, wanted", [(0, 0.1), (9, 1.0), (50, 1.0), (74, 1.0), (90, 0.4), (100, 0.0)])
def test_learning_rate(step: int, wanted: float) -> None:
    assert trapezoid(step, 100, 1.0, warmup=10, decay_share=0.25) == pytest.approx(wanted)
