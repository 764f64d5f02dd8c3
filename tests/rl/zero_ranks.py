"""What the ranks of `test_deepspeed.py` do: started by torchrun, each plays the scenes that are named, rank 0 writes what came
of them to <out>/result.json.

`python -m torch.distributed.run --nproc-per-node N -m tests.rl.zero_ranks <model folder> <out folder> <scene> ...`
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor

from agents.backends.base import ModelRequest
from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from common.jsonl import read_jsonl
from rl.config import GRPOConfig, OptimizerConfig
from rl.engine.deepspeed import DeepSpeedEngine
from rl.engine.process_group import join, leave
from rl.engine.torch import TorchEngine
from rl.policies.lora import Lora
from rl.policies.text import TextBatch, TextPolicy
from rl.schedule import Trapezoid
from tests.rl.runs import CONFIG, train

NUMBERS = OptimizerConfig(lr=2e-3, warmup_steps=2, max_grad_norm=0.5, weight_decay=0.01)
SCHEDULE = Trapezoid(2e-3, warmup=2, decay_share=0.5, updates=4)
RUN = replace(CONFIG, lr=5e-4, warmup_steps=1, steps=4, kl_log_sequences=4)
REQUESTS = [  # pictures in places 1, 2, 4, 5: one rank's micro-batch may have none while another's has some
    ModelRequest(f"write {'x' * j}", (Image.new("RGB", (32, 32), (j * 53 % 256, 90, 10)),) if j % 3 else ())
    for j in range(6)
]
COMPLETIONS = [[(7 * j + 13 * t) % 200 + 10 for t in range(3 + j)] for j in range(6)]
Weights = dict[str, Tensor]


def maker(model: Path, dtype: str = "float32", **kw: Any) -> Callable[[], TextPolicy]:
    return lambda: TextPolicy(load_vlm(model, dtype), **kw)


def updates(engine: Any, size: int, count: int = 4) -> tuple[list[float], Weights]:
    """Some updates on one batch, of which each rank takes its places, `size` at a time; the norms, and the weights. The
    third update sees no picture at all, so that a trained tower has no part in it."""
    prompts, norms = engine.policy.encode(REQUESTS), []
    for k in range(count):
        places = (0, 3) if k == 2 else range(6)
        mine = places[engine.rank :: engine.world_size]
        for k in range(0, len(mine), size):
            part = mine[k : k + size]
            stats = engine.forward(TextBatch([prompts[i] for i in part], [COMPLETIONS[i] for i in part]))
            sign = torch.tensor([(-1.0) ** i for i in part])[:, None]
            engine.backward((sign * stats.logp_BT * stats.mask_BT).sum() / sum(map(len, COMPLETIONS)))
        norms.append(engine.step().grad_norm)
    return norms, weights_of(engine)


def weights_of(engine: Any) -> Weights:
    return {name: p.detach().float().clone() for name, p in engine.named_parameters()}


def apart(a: Weights, b: Weights) -> float:
    assert a.keys() == b.keys()
    return max(float((a[n] - b[n]).abs().max()) for n in a)


def equivalence(model: Path, out: Path) -> dict[str, Any]:
    """Per kind of policy and stage: how far norms (relatively) and weights are from plain torch on the whole batch."""
    result: dict[str, Any] = {}
    arms = [(s, 1 + s % 3, "plain", {}, {}) for s in range(4)]
    arms += [(3, 3, "checkpointed", {"gradient_checkpointing": True, "shared_prefix": False}, {})]
    arms += [(s, 2, "frozen", {"frozen_vision": True}, {}) for s in (2, 3)]
    arms += [(s, 2, "offloaded", {}, {"offload_optimizer": True}) for s in (1, 3)]
    arms += [(s, 2, "lora", {"lora": Lora(4, 8), "frozen_vision": s == 3}, {}) for s in (0, 2, 3)]
    start = weights_of(TorchEngine(maker(model)(), NUMBERS, SCHEDULE))
    for stage, size, name, policy, engine in arms:
        make = maker(model, **policy)
        norms, weights = updates(TorchEngine(make(), NUMBERS, SCHEDULE), 6)
        there = DeepSpeedEngine(make, NUMBERS, SCHEDULE, stage, gather_bytes=20_000, **engine)
        their_norms, their_weights = updates(there, size)
        relative = max(abs(a - b) / a for a, b in zip(norms, their_norms, strict=True))
        moved = apart(start, weights)
        result[f"{name} {stage}"] = {"norms": relative, "weights": apart(weights, their_weights), "moved": moved}
    return result


def gathering(model: Path, out: Path) -> dict[str, Any]:
    """Bytes of parameters that are whole at the same time while a sharded model is walked through."""
    engine = DeepSpeedEngine(maker(model), NUMBERS, SCHEDULE, 3, gather_bytes=30_000)
    start, most, names = dict(load_vlm(model).model.named_parameters()), 0, []
    for name, value in engine.named_parameters():
        assert torch.equal(value, start[name])
        names.append(name)
        most = max(most, sum(p.numel() * p.element_size() for p in engine.params.values()))
    biggest = max(p.numel() * 4 for p in start.values())
    return {"most": most, "biggest": biggest, "all": sum(p.numel() * 4 for p in start.values()),
            "once": sorted(names) == sorted(start)}  # fmt: skip


def precision(model: Path, out: Path) -> dict[str, Any]:
    """bf16 weights with fp32 master copies: how far each stage is from stage 1, and from itself when it goes on in a fresh
    engine of the next stage."""
    make, reached, result = maker(model, "bfloat16"), {}, {}
    for stage in (1, 2, 3):
        engine = DeepSpeedEngine(make, NUMBERS, SCHEDULE, stage)
        norms, _ = updates(engine, 1, 2)
        state = engine.all_gather(engine.state_dict())[0]  # as if it were read from disk
        again = DeepSpeedEngine(make, NUMBERS, SCHEDULE, stage % 3 + 1)
        again.load_state_dict(state)
        reached[stage] = updates(engine, 1, 2)[1]
        result[str(stage)] = {
            "norms": norms,
            "apart": apart(reached[1], reached[stage]),
            "resumed": apart(reached[stage], updates(again, 1, 2)[1]),
            "fp32": all(w.dtype == torch.float32 for w in state["weights"].values()),
        }
    return result


def nonfinite(model: Path, out: Path) -> dict[str, Any]:
    """A gradient that is not a number changes no weight, on any rank; the next update works."""
    result = {}
    for stage in range(4):
        engine = DeepSpeedEngine(maker(model), NUMBERS, SCHEDULE, stage)
        before, prompt = weights_of(engine), engine.policy.encode(REQUESTS[1:2])
        engine.backward(
            engine.forward(TextBatch(prompt, COMPLETIONS[1:2])).logp_BT.sum() * (torch.nan if engine.rank == 0 else 1)
        )
        info = engine.step()
        same = apart(before, weights_of(engine)) == 0
        engine.backward(engine.forward(TextBatch(prompt, COMPLETIONS[1:2])).logp_BT.sum())
        after = engine.step()
        moved = apart(before, weights_of(engine)) > 0
        result[str(stage)] = [info.skipped, same, not after.skipped, moved]
    return result


def grpo(model: Path, out: Path, engine: Any, config: GRPOConfig = RUN) -> Weights:
    """A run of the whole loop in `out`, with its own rollout model where the engine's is sharded."""
    vlm = load_vlm(model) if getattr(engine, "stage", 0) == 3 else engine.policy.vlm
    train(config, engine, HFBackend(vlm), out)
    return weights_of(engine)


def loop(model: Path, out: Path) -> dict[str, Any]:
    """The GRPO loop against one process of plain torch, per stage: weights and logged numbers."""
    result: dict[str, Any] = {}
    first = dist.get_rank() == 0
    if first:
        reference = grpo(model, out / "torch", TorchEngine(maker(model)(), RUN, RUN.schedule()))
        rows = read_jsonl(out / "torch" / "metrics.jsonl")
    for stage in (1, 2, 3):
        engine = DeepSpeedEngine(maker(model), RUN, RUN.schedule(), stage)
        weights = grpo(model, out / f"zero-{stage}", engine)
        if first:
            theirs = read_jsonl(out / f"zero-{stage}" / "metrics.jsonl")
            keys = (
                "reward/mean",
                "grad_norm",
                "trained/ratio/mean",
                "trained/kl_old/mean",
                "entropy/mean",
                "trained/entropy/mean",
                "update/sequences",
                "lr",
            )
            off = max(abs(a[k] - b[k]) for a, b in zip(rows, theirs, strict=True) for k in keys)
            result[str(stage)] = {"weights": apart(reference, weights), "metrics": off}
    return result


def checkpoints(model: Path, out: Path) -> dict[str, Any]:
    """Half a run with these ranks, the rest elsewhere, and the other way round. `whole` is nobody's interruption."""
    half, first = replace(RUN, steps=2), dist.get_rank() == 0
    for stage in (0, 2, 3):  # finished by one process of plain torch, in test_deepspeed.py
        grpo(model, out / f"from-{stage}", DeepSpeedEngine(maker(model), RUN, RUN.schedule(), stage), half)
    if first:
        whole = grpo(model, out / "whole", TorchEngine(maker(model)(), RUN, RUN.schedule()))
        grpo(model, out / "to-0", TorchEngine(maker(model)(), RUN, RUN.schedule()), half)
        for stage in (1, 2, 3):
            shutil.copytree(out / "to-0", out / f"to-{stage}")
    dist.barrier()  # the halves are there
    result = {}
    for stage in range(4):
        weights = grpo(model, out / f"to-{stage}", DeepSpeedEngine(maker(model), RUN, RUN.schedule(), stage))
        if first:
            result[f"torch to {stage}"] = apart(whole, weights)
    return result


SCENES = {f.__name__: f for f in (equivalence, gathering, precision, nonfinite, loop, checkpoints)}


def main(model: Path, out: Path, names: Sequence[str]) -> None:
    torch.set_num_threads(1)
    join("cpu", 600)
    result: dict[str, Any] = {}
    for name in names:
        began = time.monotonic()
        result[name] = SCENES[name](model, out / name)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    if dist.get_rank() == 0:
        (out / "result.json").write_text(json.dumps(result))
    dist.barrier()
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
