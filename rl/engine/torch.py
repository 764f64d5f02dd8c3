"""One process, plain torch: AdamW, gradient clipping, linear warm-up to a constant learning rate."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from agents.backends.base import Request
from agents.backends.vlm import Encoded
from common.errors import BadData
from rl.engine.adamw import Schedule
from rl.engine.base import Evaluate, StepInfo
from rl.policies.text import TextPolicy, TokenStats


def check_fit(mine: Mapping[str, torch.Size], theirs: Mapping[str, Tensor]) -> None:
    """Raise BadData where a checkpoint's weights are not those of the model."""
    if odd := set(mine) ^ set(theirs) or {n for n in mine if mine[n] != theirs[n].shape}:
        raise BadData(f"the checkpoint's weights do not fit the model: {len(odd)} parameters differ, first {min(odd)}")


class TorchEngine:
    """`Engine` for one process."""

    rank = 0
    world_size = 1

    def __init__(self, policy: TextPolicy, **numbers: Any) -> None:
        """`numbers` are those of `Schedule`."""
        self.policy, self.schedule = policy, Schedule(**numbers)
        groups = self.schedule.groups(policy.model.parameters())
        self.trained = [p for p in policy.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(groups, lr=self.schedule.lr, betas=self.schedule.betas, fused=True)
        self.updates = 0

    def encode(self, requests: Sequence[Request]) -> list[Encoded]:
        return self.policy.encode(requests)

    def forward(self, prompts: Sequence[Encoded], completions: Sequence[Sequence[int]]) -> TokenStats:
        return self.policy(prompts, completions)

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self) -> StepInfo:
        """A non-finite gradient skips the update, not its count."""
        lr = self.schedule.lr_at(self.updates)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        for p in self.trained:
            if p.grad is None:  # no loss depended on it: its gradient is 0, and moments fade, as in every engine
                p.grad = torch.zeros_like(p)
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained, self.schedule.max_grad_norm))
        finite = norm < float("inf")  # False for NaN too
        if finite:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        return StepInfo(norm, lr, skipped=not finite)

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        named = {name: p.detach() for name, p in self.policy.model.named_parameters()}
        return iter(named.items()) if self.policy.lora is None else self.policy.lora.merge(named.items(), named)

    def frozen_copy(self) -> Evaluate:
        shared: dict[int, Any] = {id(p): p for p in self.policy.model.parameters() if not p.requires_grad}
        if self.policy.frozen_vision:  # a tower that never changes needs no copy, and its features no second pass
            shared |= {id(x): x for x in (self.policy.model.model.visual, self.policy.vlm.prompts)}
        reference = copy.deepcopy(self.policy, shared).requires_grad_(False)
        return torch.no_grad()(reference.forward)

    def state_dict(self) -> dict[str, Any]:
        weights = {name: p.detach() for name, p in self.policy.model.named_parameters()}
        return {"weights": weights, "optimizer": self.optimizer.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises BadData when the weights are those of another model."""
        mine = dict(self.policy.model.named_parameters())
        theirs = state["weights"]
        check_fit({name: p.shape for name, p in mine.items()}, theirs)
        with torch.no_grad():
            for name, p in mine.items():
                p.copy_(theirs[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]

    def all_gather(self, value: Any) -> list[Any]:
        return [value]


__all__ = ["TorchEngine", "check_fit"]
