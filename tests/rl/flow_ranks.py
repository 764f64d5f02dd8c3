"""What the ranks of `test_flow_deepspeed.py` do: started by torchrun, each trains a small FLUX Kontext under every ZeRO stage on
its share of the trajectories; rank 0 writes the distances to plain torch to <out>/result.json.

`python -m torch.distributed.run --nproc-per-node N -m tests.rl.flow_ranks <out folder>`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rl.config import OptimizerConfig
from rl.engine.deepspeed import DeepSpeedEngine
from rl.engine.process_group import join, leave
from rl.engine.torch import TorchEngine
from rl.policies.flow import collate, step_kl
from tests.rl.flow_models import NOISE, kontext_policy, trajectories

CONFIG = OptimizerConfig(lr=1e-3, max_grad_norm=0.5, weight_decay=0.01)
POLICIES = {
    "plain": kontext_policy,
    "guided, checkpointed": lambda: kontext_policy(true_cfg=2.0, gradient_checkpointing=True),
}


def updates(engine: Any, size: int, count: int = 3) -> dict[str, Any]:
    """Some updates with a KL to the start on one batch of six trajectories, of which each rank takes its places, `size` at a
    time. The third update leaves a rank with fewer than another."""
    items, norms, kls = trajectories(engine.policy, group=3), [], []
    reference = engine.frozen_copy()
    for k in range(count):
        places = range(5) if k == 2 else range(6)
        mine = list(places)[engine.rank :: engine.world_size]
        turns = -(-max(engine.all_gather(len(mine))) // size)
        for turn in range(turns):
            part = mine[turn * size : (turn + 1) * size]
            batch = collate([items[i] for i in part or [0]])
            out = engine.forward(batch)
            kl_BT = step_kl(out.mean, reference(batch).mean, batch, NOISE)
            sign = torch.tensor([(-1.0) ** i for i in part] or [0.0])[:, None]
            engine.backward((sign * out.logp_BT + 0.1 * sign.abs() * kl_BT).sum() / 18)
            kls.append(float(kl_BT.detach().max()))
        norms.append(engine.step().grad_norm)
    return {"norms": norms, "kl": kls, "weights": weights_of(engine)}


def weights_of(engine: Any) -> dict[str, Tensor]:
    return {name: p.detach().float().clone() for name, p in engine.named_parameters()}


def apart(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[n] - b[n]).abs().max()) for n in a)


def compare() -> dict[str, Any]:
    results: dict[str, Any] = {}
    arms = [("plain", stage) for stage in range(4)] + [("guided, checkpointed", 3)]
    for name, stage in arms:
        start = weights_of(TorchEngine(POLICIES[name](), CONFIG))
        whole = updates(TorchEngine(POLICIES[name](), CONFIG), 6)
        engine = DeepSpeedEngine(POLICIES[name], CONFIG, stage=stage)
        sharded = updates(engine, 1 + stage % 3)
        state = engine.state_dict()
        resumed = 0.0
        if engine.rank == 0:
            other = TorchEngine(POLICIES[name](), CONFIG)
            other.load_state_dict(state)
            resumed = apart(weights_of(other), sharded["weights"])
        results[f"{name} {stage}"] = {
            "weights": apart(whole["weights"], sharded["weights"]),
            "norms": max(abs(a / b - 1) for a, b in zip(sharded["norms"], whole["norms"], strict=True)),
            "moved": apart(whole["weights"], start),
            "kl": max(sharded["kl"]),
            "resumed": resumed,
        }
    return results


def main() -> None:
    torch.set_num_threads(1)
    join("cpu", 600)
    try:
        results = compare()
        if dist.get_rank() == 0:
            Path(sys.argv[1], "result.json").write_text(json.dumps(results))
    finally:
        leave()


if __name__ == "__main__":
    main()
