"""The moving average of trained weights: smoother than the last ones, and usually better pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class MovingAverage:
    """a <- decay a + (1 - decay) w of named weights, from the first values on, in fp32. Every rank holds it whole."""

    def __init__(self, named: Iterable[tuple[str, Tensor]], decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().float().clone() for name, value in named}

    @torch.no_grad()
    def update(self, named: Iterable[tuple[str, Tensor]]) -> None:
        for name, value in named:
            self.values[name].lerp_(value.detach().float(), 1 - self.decay)

    def state_dict(self) -> dict[str, Any]:
        return dict(self.values)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            self.values[name].copy_(value)


__all__ = ["MovingAverage"]
