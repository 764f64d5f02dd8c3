"""The exponential moving average of parameters while they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class MovingAverage:
    """Exponential moving average of named parameters. The decay grows to `decay` over the first steps, so that the random
    start is soon forgotten."""

    def __init__(self, named: Mapping[str, Tensor], decay: float) -> None:
        self.named, self.decay, self.step = dict(named), decay, 0
        self.values = {n: p.detach().clone() for n, p in self.named.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the parameters of today."""
        self.step += 1
        share = 1 - min(self.decay, (1 + self.step) / (20 + self.step))
        torch._foreach_lerp_(list(self.values.values()), [p.detach() for p in self.named.values()], share)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the average and the parameters; a second call undoes it."""
        for name, parameter in self.named.items():
            current = parameter.detach().clone()
            parameter.copy_(self.values[name])
            self.values[name].copy_(current)

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        for name, value in state["values"].items():
            self.values[name].copy_(value)


__all__ = ["MovingAverage"]
