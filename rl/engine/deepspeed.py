"""One model on many processes: ZeRO 0-3 (arXiv 1910.02054) by DeepSpeed.

It makes the updates of `TorchEngine`: the same sum of losses, the same clipping, the same AdamW. DeepSpeed averages gradients
over ranks, so a loss is multiplied by their number. Checkpoints have `TorchEngine`'s format, whole fp32 weights and moments by
name, so that a run can be resumed with another number of ranks, another stage, or plain torch.

Ranks have batches of different shapes, so under ZeRO-3 nothing may depend on what a rank computed before: parameters are neither
prefetched nor kept for reuse, and a part of the model that some ranks do not need is passed by all of them or by none (`_Whole`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Generic, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from common.errors import BadInput, MissingFile
from common.third_party import library_lines
from rl.config import OptimizerConfig
from rl.engine.base import LogProbs, StepInfo
from rl.engine.optimizers import adamw
from rl.engine.process_group import join
from rl.engine.zero_state import ZeroState
from rl.policies.base import FrozenPolicy, Named, Policy, replacing
from rl.schedule import Schedule, Trapezoid

B = TypeVar("B")

STAGES = (0, 1, 2, 3)
NO_BF16 = "DeepSpeed's stage 0 has no fp32 sums of bfloat16 gradients; choose stage 1, which in one process is the same"
OUTPUTS = ("logp_BT", "mask_BT", "entropy_BT", "mean", "greedy_BT")


class DeepSpeedEngine(Generic[B]):
    """`Engine` for the ranks of a process group, which it joins if nobody has."""

    def __init__(
        self,
        make_policy: Callable[[], Policy[B]],
        config: OptimizerConfig,
        schedule: Schedule | None = None,
        stage: int = 2,
        offload_optimizer: bool = False,
        gather_bytes: int = 1 << 28,
        timeout_s: float = 1800.0,
    ) -> None:
        """`make_policy` loads the start weights, once now and once per frozen copy. `gather_bytes`: how much of a sharded
        model is whole at a time in `named_parameters`. `config` and `schedule` are those of `TorchEngine`.

        Raises MissingFile without the package, BadInput for settings that contradict each other.
        """
        if config.optimizer != "adamw":
            raise BadInput(f"engine=deepspeed trains with adamw, not {config.optimizer}; choose engine=torch")
        if stage not in STAGES:
            raise BadInput(f"ZeRO has the stages 0, 1, 2 and 3, not {stage}")
        if offload_optimizer and stage == 0:
            raise BadInput("stage 0 shards nothing and offloads nothing; choose stage 1, 2 or 3 with offload_optimizer")
        self.make_policy, self.stage, self.gather_bytes = make_policy, stage, gather_bytes
        self.schedule = schedule or Trapezoid(config.lr, config.warmup_steps)
        self.max_grad_norm = config.max_grad_norm
        self.policy = make_policy()
        device, dtype = self.policy.device.type, self.policy.dtype
        deepspeed = import_deepspeed(device)
        join(device, timeout_s)
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        if dtype not in (torch.float32, torch.bfloat16):
            raise BadInput(f"engine=deepspeed trains float32 or bfloat16 weights, not {dtype}")
        if stage == 0 and dtype == torch.bfloat16:
            raise BadInput(NO_BF16)
        self.params = dict(self.policy.model.named_parameters())
        self.optional_parts = self.policy.optional_parts
        if stage == 3:
            self.policy.before_sharding()
        optimizer = adamw(self.params.values(), config)
        whole = _Whole(self.policy)
        with library_lines():
            self.ds, *_ = deepspeed.initialize(
                model=whole,
                optimizer=optimizer,
                config=self._config(offload_optimizer, dtype),
                dist_init_required=False,
            )
        if stage == 3:
            for parameter in self.policy.external_parameters():
                deepspeed.zero.register_external_parameter(whole, parameter)
            whole.coordinator = self.ds.optimizer.parameter_offload.get_param_coordinator()
        self.state = ZeroState(self.ds, optimizer, self.params)
        self.updates = 0
        self._norm = 0.0
        if stage == 0 and dtype == torch.float32:
            self.ds.clip_fp32_gradients = self._clip  # DeepSpeed's own does not return the norm

    def _config(self, offload_optimizer: bool, dtype: torch.dtype) -> dict[str, Any]:
        zero: dict[str, Any] = {"stage": self.stage, "overlap_comm": False}
        if offload_optimizer:
            zero["offload_optimizer"] = {"device": "cpu", "pin_memory": self.policy.device.type == "cuda"}
        if self.stage == 3:
            zero |= {
                "stage3_prefetch_bucket_size": 0,
                "stage3_max_reuse_distance": 0,
                "stage3_param_persistence_threshold": 0,
                "memory_efficient_linear": False,
            }
        return {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "managed_gradient_accumulation": False,  # a batch ends where `step` is called
            "gradient_clipping": self.max_grad_norm,
            "bf16": {"enabled": dtype == torch.bfloat16},
            "data_types": {"grad_accum_dtype": "fp32"},
            "zero_optimization": zero,
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "steps_per_print": 10**9,
        }

    def forward(self, batch: B) -> LogProbs:
        missing: frozenset[str] = frozenset()
        if self.stage > 0 and self.optional_parts and self.world_size > 1:
            mine = self.policy.parts_of(batch)
            missing = frozenset().union(*self.all_gather(mine)) - mine
        return LogProbs(**dict(zip(OUTPUTS, self.ds(batch, missing), strict=True)))

    def products(self) -> AbstractContextManager[Any]:
        """As in `Engine`: those of the weights' own type."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        self.ds.backward(loss * self.world_size)

    def step(self) -> StepInfo:
        lr = self.schedule.lr_at(self.updates)
        for group in self.ds.optimizer.param_groups:
            group["lr"] = lr
        self.ds.step()
        self.state.forget_gradients()
        if self.ds.optimizer is not self.state.adamw:
            self._norm = float(self.ds.get_global_grad_norm())
        self.updates += 1
        return StepInfo(self._norm, lr, skipped=not self._norm < float("inf"))

    def _clip(self) -> None:
        trained = [p for p in self.params.values() if p.requires_grad]
        self._norm = float(torch.nn.utils.clip_grad_norm_(trained, self.max_grad_norm))
        if not self._norm < float("inf"):
            for p in trained:
                p.grad = None  # AdamW passes them over

    def named_parameters(self, instead: Mapping[str, Tensor] | None = None) -> Named:
        """Under ZeRO-3 about `gather_bytes` are whole at a time; every rank must go through all of them. Raises RunFailed
        naming the parameter where gathering fails."""
        return self.policy.export(replacing(partial(self.state.gather, self.gather_bytes), instead))

    def trained_parameters(self) -> Named:
        return self.state.gather(self.gather_bytes, lambda name: self.params[name].requires_grad)

    def frozen_copy(self) -> FrozenPolicy[B]:
        """A whole model on every rank, whatever the stage (its frozen weights are the policy's own below stage 3)."""
        policy = self.make_policy().requires_grad_(False)
        policy.share_frozen(self.policy)
        with torch.no_grad():
            copies = dict(policy.model.named_parameters())
            for name, value in self.state.gather(self.gather_bytes):
                if self.stage < 3 and not self.params[name].requires_grad:
                    copies[name].data = value  # never changes: one of it is enough
                else:
                    copies[name].copy_(value)
        return FrozenPolicy(policy)

    def state_dict(self) -> dict[str, Any]:
        """Like `TorchEngine`'s, weights in fp32. Only rank 0 holds the tensors; every rank must call."""
        return self.state.collect(keep=self.rank == 0) | {"updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises BadData when the state is that of another model or cannot be sharded."""
        self.state.restore(state)
        self.updates = state["updates"]

    def all_gather(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values


class _Whole(nn.Module):
    """The policy with outputs that DeepSpeed's hooks find (a tuple), and a pass through the parts that this rank's batch does
    not use while another rank's does, which changes nothing: their sharded weights are gathered, and their gradients reduced,
    by all ranks or by none."""

    def __init__(self, policy: Policy[Any]) -> None:
        super().__init__()
        self.policy = policy
        self.coordinator: Any = None  # of ZeRO-3

    def forward(self, batch: Any, missing: frozenset[str]) -> tuple[Tensor | None, ...]:
        if self.coordinator is not None and not self.coordinator.is_invalid_trace():
            self.coordinator._invalidate_trace()  # it would demand the same modules of all ranks, and of every pass
        zero: Tensor | float = self.policy.pass_through(missing) if missing else 0.0
        out = self.policy(batch)
        return out.logp_BT + zero, *(getattr(out, name) for name in OUTPUTS[1:])


def import_deepspeed(device: str) -> Any:
    """The package, set up for the device. MissingFile where it is not installed."""
    if device == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("DEEPSPEED_LOG_LEVEL", "error")
    try:
        with library_lines():  # probes by a compiler
            import deepspeed
    except ImportError as e:
        raise MissingFile(f"engine=deepspeed needs the package deepspeed ({e}): make extra-deepspeed") from e
    deepspeed.logger.setLevel("ERROR")
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # a kernel that is compiled at the first start
    return deepspeed


__all__ = ["NO_BF16", "STAGES", "DeepSpeedEngine", "import_deepspeed"]
