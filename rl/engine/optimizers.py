"""The optimisers that every engine uses, so that one configuration means one trajectory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from common.errors import BadInput


class OptimizerNumbers(Protocol):
    """What an optimiser needs of `OptimizerConfig`."""

    optimizer: str
    lr: float
    weight_decay: float
    betas: list[float]


def adamw(parameters: Iterable[Tensor], config: OptimizerNumbers) -> torch.optim.AdamW:
    """Fused AdamW on the parameters that require a gradient: first the matrices, with weight decay, then the rest, without.
    BadInput where nothing is trained."""
    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        raise BadInput("no parameter of the policy requires a gradient: nothing to train")
    matrices = {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay}
    vectors = {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0}
    groups = [g for g in (matrices, vectors) if g["params"]]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.betas[0], config.betas[1]), fused=True)


class Optimizers:
    """The optimisers of one training as one: AdamW alone, or Muon (Jordan et al. 2024; learning rates matched to AdamW's as
    in arXiv 2502.16982) on the hidden matrices with AdamW on embeddings, norms and biases. A convolution's kernel is the
    matrix of its output channels."""

    def __init__(self, named: Mapping[str, Tensor], config: OptimizerNumbers) -> None:
        hidden = {
            n
            for n, p in named.items()
            if config.optimizer == "muon" and p.ndim >= 2 and "embed" not in n and "lm_head" not in n
        }
        rest = [p for n, p in named.items() if n not in hidden]
        self.parts: list[torch.optim.Optimizer] = [adamw(rest, config)] if rest else []
        self.matrices = [(named[n], torch.nn.Parameter(named[n].detach().flatten(1))) for n in sorted(hidden)]  # views
        if hidden:
            self.parts.append(
                torch.optim.Muon(
                    [view for _, view in self.matrices],
                    lr=config.lr,
                    weight_decay=config.weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            )

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def step(self, lr: float | None = None) -> None:
        """One update of all parts, at this learning rate where one is given; the gradients are cleared."""
        for parameter, view in self.matrices:
            view.grad = None if parameter.grad is None else parameter.grad.flatten(1)
            parameter.grad = None
        for part in self.parts:
            for group in part.param_groups if lr is not None else ():
                group["lr"] = lr
            part.step()
            part.zero_grad(set_to_none=True)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter, _ in self.matrices:
            parameter.grad = None
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state: Sequence[dict[str, Any]]) -> None:
        for part, value in zip(self.parts, state, strict=True):
            part.load_state_dict(value)


Optimizer: TypeAlias = torch.optim.AdamW | Optimizers

__all__ = ["Optimizer", "OptimizerNumbers", "Optimizers", "adamw"]
