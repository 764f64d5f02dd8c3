"""One process, plain torch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from common.errors import BadData
from rl.config import OptimizerConfig
from rl.engine.base import LogProbs, StepInfo
from rl.engine.optimizers import Optimizer, Optimizers, adamw
from rl.engine.precision import bf16_products
from rl.policies.base import FrozenPolicy, Named, Policy, gather_from, replacing
from rl.schedule import Schedule, Trapezoid

B = TypeVar("B")


def check_fit(mine: Mapping[str, torch.Size], theirs: Mapping[str, Tensor]) -> None:
    """Raise BadData where a checkpoint's weights are not those of the model."""
    if odd := set(mine) ^ set(theirs) or {n for n in mine if mine[n] != theirs[n].shape}:
        raise BadData(f"the checkpoint's weights do not fit the model: {len(odd)} parameters differ, first {min(odd)}")


class TorchEngine(Generic[B]):
    """`Engine` for one process."""

    rank = 0
    world_size = 1

    def __init__(
        self,
        policy: Policy[B],
        config: OptimizerConfig,
        schedule: Schedule | None = None,
        matmul: str = "float32",
    ) -> None:
        """`schedule`: of the learning rate; None: linear warm-up to a constant one. `matmul`: float32 or bfloat16, of the products
        in the update and in the reference."""
        self.matmul = matmul
        self.policy, self.max_grad_norm = policy, config.max_grad_norm
        self.schedule = schedule or Trapezoid(config.lr, config.warmup_steps)
        self.trained = [p for p in policy.model.parameters() if p.requires_grad]
        self.optimizer: Optimizer
        if config.optimizer == "muon":
            named = {name: p for name, p in policy.model.named_parameters() if p.requires_grad}
            self.optimizer = Optimizers(named, config)
        else:
            self.optimizer = adamw(policy.model.parameters(), config)
        self.updates = 0

    def forward(self, batch: B) -> LogProbs:
        with self.products():
            return self.policy(batch)

    def products(self) -> AbstractContextManager[Any]:
        """As in `Engine`."""
        if self.matmul == "float32":
            return nullcontext()
        return bf16_products(next(self.policy.model.parameters()).device.type)

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self) -> StepInfo:
        lr = self.schedule.lr_at(self.updates)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        for p in self.trained:
            if p.grad is None:  # no loss depended on it: its gradient is 0, and moments fade, as in every engine
                p.grad = torch.zeros_like(p)
        total = torch.nn.utils.clip_grad_norm_(self.trained, self.max_grad_norm)
        if isinstance(self.optimizer, torch.optim.AdamW):
            # Fused AdamW leaves everything as it is where this is 1, so that nobody waits for the norm before the update.
            self.optimizer.found_inf = (~total.isfinite()).float()  # type: ignore[attr-defined]
            self.optimizer.step()
        norm = float(total)
        finite = norm < float("inf")  # False for NaN too
        if finite and not isinstance(self.optimizer, torch.optim.AdamW):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        return StepInfo(norm, lr, skipped=not finite)

    def named_parameters(self, instead: Mapping[str, Tensor] | None = None) -> Named:
        return self.policy.export(replacing(gather_from(self.policy.model.named_parameters), instead))

    def trained_parameters(self) -> Named:
        return ((name, p.detach()) for name, p in self.policy.model.named_parameters() if p.requires_grad)

    def frozen_copy(self) -> FrozenPolicy[B]:
        """The copy shares the parameters that are not trained."""
        shared: dict[int, Any] = {id(p): p for p in self.policy.model.parameters() if not p.requires_grad}
        reference = copy.deepcopy(self.policy, shared).requires_grad_(False)
        reference.share_frozen(self.policy)
        return FrozenPolicy(reference, self.products)

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
