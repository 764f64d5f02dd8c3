"""State of a ZeRO-sharded model, gathered whole and by name, and restored: fp32 weights, AdamW's moments, one count of updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import BadData, RunFailed
from rl.engine.torch import check_fit

MOMENTS = ("exp_avg", "exp_avg_sq")


class ZeroState:
    """`params` are the model's, by Hugging Face name, as they were before DeepSpeed took them (it keeps the objects);
    `adamw` is the optimiser that was given to it, whose state has the layout of its parameter groups at that time."""

    def __init__(self, ds: Any, adamw: torch.optim.AdamW, params: Mapping[str, nn.Parameter]) -> None:
        self.ds, self.adamw, self.params = ds, adamw, dict(params)
        self.sharded = ds.optimizer is not adamw
        trained = [name for name, p in self.params.items() if p.requires_grad]
        matrices = [name for name in trained if len(_shape(self.params[name])) >= 2]
        vectors = [name for name in trained if name not in set(matrices)]
        self.groups = [names for names in (matrices, vectors) if names]  # as `adamw` made them

    def gather(
        self, bucket_bytes: int, accepts: Callable[[str], bool] = lambda name: True
    ) -> Iterator[tuple[str, Tensor]]:
        """Every parameter whose name is accepted, once and whole; sharded ones by buckets of about `bucket_bytes`."""
        bucket: list[str] = []
        size = 0
        for name, p in self.params.items():
            if not accepts(name):
                continue
            bytes_ = _shape(p).numel() * p.element_size()
            if bucket and size + bytes_ > bucket_bytes:
                yield from self._whole(bucket)
                bucket, size = [], 0
            bucket.append(name)
            size += bytes_
        yield from self._whole(bucket)

    def _whole(self, names: list[str]) -> Iterator[tuple[str, Tensor]]:
        from deepspeed.runtime.zero.partition_parameters import GatheredParameters

        split = [self.params[name] for name in names if hasattr(self.params[name], "ds_id")]
        with GatheredParameters(split, enabled=bool(split)):
            for name in names:
                value = self.params[name].detach()
                if value.shape != _shape(self.params[name]):
                    raise RunFailed(
                        f"gathering {name} gave {tuple(value.shape)}, not {tuple(_shape(self.params[name]))}"
                    )
                yield name, value

    def collect(self, keep: bool) -> dict[str, Any]:
        """{"weights", "optimizer"} as `TorchEngine.state_dict` has them, on the CPU; empty of tensors unless `keep`."""
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        weights = {n: v.float().cpu().clone() for n, v in self.gather(1 << 26) if keep or not self.sharded}
        if not self.sharded:
            return {"weights": weights, "optimizer": self.adamw.state_dict()}
        if steps := self._steps():
            self._link()
        moments: dict[int, dict[str, Tensor]] = {}
        for index, name in enumerate(n for group in self.groups for n in group):
            p = self.params[name]
            values = {"": safe_get_full_fp32_param(p)}
            if steps:
                values |= {key: safe_get_full_optimizer_state(p, key) for key in MOMENTS}
            if keep:
                whole = {k: v.detach().float().reshape(_shape(p)).cpu().clone() for k, v in values.items()}
                weights[name] = whole.pop("")
                if steps:
                    moments[index] = {"step": torch.tensor(float(steps)), **whole}
        return {"weights": weights, "optimizer": {"state": moments, "param_groups": self._param_groups()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises BadData where the weights are another model's, or its parameters were updated unequally often."""
        check_fit({name: _shape(p) for name, p in self.params.items()}, state["weights"])
        moments = state["optimizer"]["state"]
        counts = {int(m["step"]) for m in moments.values()}
        if self.sharded and (len(counts) > 1 or len(moments) not in (0, sum(map(len, self.groups)))):
            raise BadData(
                "the checkpoint's optimiser has updated some parameters more often than others "
                f"({sorted(counts)} times, {len(moments)} of {sum(map(len, self.groups))} parameters): ZeRO keeps one count "
                "for all and cannot continue it; go on with engine=torch"
            )
        for name, p in self.params.items():
            self._set_weight(p, state["weights"][name])
        if not self.sharded:
            self.adamw.load_state_dict(dict(state["optimizer"]))
            return
        self._allocate(counts.pop() if counts else 0)
        for index, name in enumerate(n for group in self.groups for n in group):
            for key in MOMENTS if moments else ():
                self._set_moment(self.params[name], key, moments[index][key])

    def forget_gradients(self) -> None:
        """After an update. DeepSpeed (0.19.8) only overwrites the sums of parameters in which the next update's first micro-batch
        has a part (stage 3), or any of its micro-batches (offloaded): the others would keep what they are."""
        if hasattr(self.ds.optimizer, "grad_partitions_flat_buffer"):
            self.ds.optimizer.grad_partitions_flat_buffer.zero_()
        for flat in self._flat() if self.sharded else ():
            if flat.grad is not None:
                flat.grad.zero_()

    def _flat(self) -> list[Tensor]:
        """This rank's fp32 shards."""
        zero = self.ds.optimizer
        for name in ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups", "fp32_groups_flat_partition"):
            if (flat := getattr(zero, name, None)) is not None:
                return flat
        raise RunFailed(f"{type(zero).__name__} of this DeepSpeed version keeps its fp32 weights elsewhere")

    def _steps(self) -> int:
        return max((int(s["step"]) for f in self._flat() if "step" in (s := self.adamw.state.get(f, {}))), default=0)

    def _allocate(self, steps: int) -> None:
        """Moments of 0 for this rank's shards; with no updates behind them AdamW makes its own."""
        self.adamw.state.clear()
        for flat in self._flat() if steps else ():
            zeros = {key: torch.zeros_like(flat) for key in MOMENTS}
            device = flat.device if self.adamw.defaults["fused"] else "cpu"
            self.adamw.state[flat] = {"step": torch.tensor(float(steps), device=device), **zeros}
        if steps:
            self._link()

    def _link(self) -> None:
        """Tell DeepSpeed where each parameter's moments are. It does so itself after the update of the first parameter group,
        when the others have none yet, and never again (0.19.8)."""
        zero = self.ds.optimizer
        if hasattr(zero, "_hp_optimizer_states_linked"):
            zero._hp_optimizer_states_linked = False
            zero._lazy_init_hp_params_optimizer_state()

    def _set_weight(self, p: nn.Parameter, value: Tensor) -> None:
        from deepspeed.runtime.zero.partition_parameters import GatheredParameters
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_local_fp32_param

        with GatheredParameters([p], modifier_rank=0, enabled=hasattr(p, "ds_id")), torch.no_grad():
            p.copy_(value)
        if p.requires_grad and hasattr(p, "ds_id"):
            safe_set_local_fp32_param(p, self._share(p, value))
        elif p.requires_grad:
            safe_set_full_fp32_param(p, value.to(p.device))

    def _set_moment(self, p: nn.Parameter, key: str, value: Tensor) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state, safe_set_local_optimizer_state

        if hasattr(p, "ds_id"):
            safe_set_local_optimizer_state(p, self._share(p, value), key)
        else:
            safe_set_full_optimizer_state(p, value.to(p.device), key)

    def _share(self, p: Any, value: Tensor) -> Tensor:
        """This rank's piece of a ZeRO-3 parameter: equal pieces, the last one padded with zeros."""
        piece, rank = p.ds_tensor.ds_numel, self.ds.global_rank
        flat = F.pad(value.flatten(), (0, piece * self.ds.world_size - value.numel()))
        return flat[rank * piece : (rank + 1) * piece].to(p.ds_tensor.device)

    def _param_groups(self) -> list[dict[str, Any]]:
        """As torch writes them: numbers, and the parameters' places."""
        groups, at = [], 0
        for names, group in zip(self.groups, self.adamw.param_groups, strict=True):
            numbers = {k: v for k, v in group.items() if k != "params" and isinstance(v, int | float | tuple | None)}
            groups.append(numbers | {"params": list(range(at, at + len(names)))})
            at += len(names)
        return groups


def _shape(p: Any) -> torch.Size:
    return getattr(p, "ds_shape", p.shape)


__all__ = ["ZeroState"]
