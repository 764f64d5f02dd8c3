"""Flow matching for editors: the velocity from the picture to noise, given source and instruction (arXiv 2210.02747)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

CHANGED_WEIGHT = 8.0  # added to a token's loss where source and result differ: most of an edited picture is a copy


def token_weights(source_BNC: Tensor, result_BNC: Tensor, threshold: float = 0.1) -> Tensor:
    """[B, N, 1]: a token that changes weighs 1 + CHANGED_WEIGHT times one that stays; the mean over each picture is 1, so that
    a small edit teaches as much as one of the whole picture."""
    changed = (source_BNC - result_BNC).abs().amax(-1, keepdim=True) > threshold
    weights = 1 + CHANGED_WEIGHT * changed.float()
    return weights / weights.mean(1, keepdim=True)


def interpolate(result_BNC: Tensor, noise_BNC: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
    """(x_t, v): x_t = (1 - t) x_0 + t eps and its velocity eps - x_0; t=1 is noise."""
    t = t_B[:, None, None]
    return (1 - t) * result_BNC + t * noise_BNC, noise_BNC - result_BNC


def logit_normal(count: int, generator: torch.Generator, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Times in (0, 1) (arXiv 2403.03206, section 3.1). A mean above 0 draws more of them near the noise: what an
    instruction means is decided there, later the picture itself shows it."""
    return torch.sigmoid(mean + std * torch.randn(count, generator=generator))


def flow_matching_loss(velocity_BNC: Tensor, wanted_BNC: Tensor, weights_BN1: Tensor) -> Tensor:
    """Weighted mean square error."""
    return ((velocity_BNC - wanted_BNC).square() * weights_BN1).mean()


class Average:
    """Exponential moving average of parameters; the decay grows with the step, so that the start is soon forgotten."""

    def __init__(self, named: Mapping[str, Tensor], decay: float) -> None:
        self.named, self.decay, self.step = dict(named), decay, 0
        self.values = {n: p.detach().clone() for n, p in self.named.items()}

    @torch.no_grad()
    def update(self) -> None:
        self.step += 1
        share = 1 - min(self.decay, (1 + self.step) / (20 + self.step))
        torch._foreach_lerp_(list(self.values.values()), [p.detach() for p in self.named.values()], share)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the average and the parameters; a second call undoes it."""
        for name, parameter in self.named.items():
            kept = parameter.detach().clone()
            parameter.copy_(self.values[name])
            self.values[name].copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        for name, value in state["values"].items():
            self.values[name].copy_(value)


def named_parameters(modules: Mapping[str, torch.nn.Module]) -> dict[str, Tensor]:
    return {f"{key}.{n}": p for key, module in modules.items() for n, p in module.named_parameters()}


def trapezoid(step: int, steps: int, lr: float, warmup: int, decay_share: float) -> float:
    """Learning rate: linear up, constant, linear down to nothing in the last share of the steps."""
    down = max(1, round(steps * decay_share))
    return lr * min(1.0, (step + 1) / max(1, warmup), (steps - step) / down)


def clip(parameters: Iterable[Tensor], most: float) -> float:
    return float(torch.nn.utils.clip_grad_norm_(list(parameters), most))


__all__ = [
    "Average",
    "clip",
    "flow_matching_loss",
    "interpolate",
    "logit_normal",
    "named_parameters",
    "token_weights",
    "trapezoid",
]
