"""The moving average of weights, by hand."""

from __future__ import annotations

import torch

from experiments.tiny.moving_average import MovingAverage


def test_average_swaps_there_and_back_and_follows() -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    average = MovingAverage({"w": weight}, decay=0.5)
    with torch.no_grad():
        weight.fill_(4.0)
    average.update()  # decay min(0.5, 2/21): the average moves by 19/21
    average.swap()
    torch.testing.assert_close(weight.detach(), torch.full((3,), 4 * 19 / 21))
    average.swap()
    assert torch.equal(weight.detach(), torch.full((3,), 4.0))


def test_average_state_round_trip() -> None:
    weight = torch.nn.Parameter(torch.randn(3))
    first, second = (MovingAverage({"w": weight}, 0.9) for _ in range(2))
    with torch.no_grad():
        weight.add_(1)
    first.update()
    second.load_state_dict(first.state_dict())
    for average in (first, second):
        average.update()
    assert torch.equal(first.values["w"], second.values["w"]) and first.step == second.step == 2
