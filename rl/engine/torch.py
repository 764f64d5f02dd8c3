"""One process, plain torch: AdamW, gradient clipping, linear warm-up to a constant learning rate."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from agents.backends.base import Request
from agents.backends.vlm import Encoded
from benchmarks.errors import BadData, BadInput
from rl.engine.base import Evaluate, StepInfo
from rl.policies.text import TextPolicy, TokenStats


class TorchEngine:
    """`Engine` for one process. Weight decay touches matrices only (no norms, no biases)."""

    rank = 0
    world_size = 1

    def __init__(
        self,
        policy: TextPolicy,
        lr: float = 1e-6,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.01,
        warmup_steps: int = 0,
        max_grad_norm: float = 1.0,
        decay_share: float = 0.0,
        updates: int = 0,
    ) -> None:
        """`decay_share` of `updates` (how many there will be) come with a falling learning rate."""
        if not lr >= 0 or not max_grad_norm > 0 or warmup_steps < 0:
            raise BadInput(f"lr {lr} must be >= 0, max_grad_norm {max_grad_norm} > 0, warmup_steps {warmup_steps} >= 0")
        self.policy = policy
        if not 0 <= decay_share <= 1 or (decay_share and updates < 1):
            raise BadInput(f"decay_share {decay_share} must be 0..1, and above 0 needs the number of updates")
        self.lr, self.warmup_steps, self.max_grad_norm = lr, warmup_steps, max_grad_norm
        self.decay_updates, self.total_updates = round(decay_share * updates), updates
        trained = [p for p in policy.model.parameters() if p.requires_grad]
        if not trained:
            raise BadInput("no parameter of the policy requires a gradient: nothing to train")
        groups = [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.trained = trained
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=betas, fused=True)
        self.updates = 0

    def encode(self, requests: Sequence[Request]) -> list[Encoded]:
        return self.policy.encode(requests)

    def forward(self, prompts: Sequence[Encoded], completions: Sequence[Sequence[int]]) -> TokenStats:
        return self.policy(prompts, completions)

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self) -> StepInfo:
        """Update k (from 0) of n uses lr x min(1, (k+1)/warmup, (n-k)/decay). A non-finite gradient skips the update, not its
        count."""
        lr = self.lr * min(1.0, (self.updates + 1) / max(1, self.warmup_steps))
        if self.decay_updates:
            lr = min(lr, self.lr * max(0, self.total_updates - self.updates) / self.decay_updates)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained, self.max_grad_norm))
        finite = norm < float("inf")  # False for NaN too
        if finite:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        return StepInfo(norm, lr, skipped=not finite)

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, p.detach()) for name, p in self.policy.model.named_parameters())

    def frozen_copy(self) -> Evaluate:
        shared: dict[int, Any] = {}
        if self.policy.frozen_vision:  # a tower that never changes needs no copy, and its features no second pass
            shared = {id(x): x for x in (self.policy.model.model.visual, self.policy.vlm.prompts)}
        reference = copy.deepcopy(self.policy, shared).requires_grad_(False)
        return torch.no_grad()(reference.forward)

    def state_dict(self) -> dict[str, Any]:
        weights = {name: p.detach() for name, p in self.policy.model.named_parameters()}
        return {"weights": weights, "optimizer": self.optimizer.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises BadData when the weights are those of another model."""
        mine = dict(self.policy.model.named_parameters())
        theirs = state["weights"]
        if odd := set(mine) ^ set(theirs) or {n for n in mine if mine[n].shape != theirs[n].shape}:
            raise BadData(
                f"the checkpoint's weights do not fit the model: {len(odd)} parameters differ, first {min(odd)}"
            )
        with torch.no_grad():
            for name, p in mine.items():
                p.copy_(theirs[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]

    def all_gather(self, value: Any) -> list[Any]:
        return [value]


__all__ = ["TorchEngine"]
