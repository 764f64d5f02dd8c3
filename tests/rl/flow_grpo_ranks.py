"""What the ranks of `test_flow_ranks.py` do: started by torchrun, they train a small FLUX Kontext by Flow-GRPO and by DiffusionNFT
under ZeRO; rank 0 writes the distances to one process of plain torch to <out>/result.json.

`python -m torch.distributed.run --nproc-per-node N -m tests.rl.flow_grpo_ranks <out folder>`
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rl.engine.deepspeed import DeepSpeedEngine
from rl.engine.process_group import join, leave
from rl.flow_config import EMAConfig, FlowGRPOConfig, NFTConfig
from tests.rl.flow_runs import CONFIG, LORA, NFT_CONFIG, journal, load_kontext, training, weights

SMALL: dict[str, Any] = {"steps": 2, "prompts_per_step": 3, "group_size": 3, "sampling_steps": 3, "checkpoint_every": 1}
GRPO = replace(CONFIG, **SMALL, ratio_normalisation=True, clip_low=0.2, clip_high=0.2)  # a clip is no smooth function
ARMS: dict[str, tuple[FlowGRPOConfig | NFTConfig, int]] = {
    "grpo 0": (GRPO, 0),
    "grpo 2": (replace(GRPO, advantage_scale="batch"), 2),
    "grpo 3": (replace(GRPO, ema=EMAConfig(decay=0.5, every=1)), 3),
    "grpo lora 3": (replace(GRPO, lora=LORA, gradient_checkpointing=True), 3),
    "nft 1": (replace(NFT_CONFIG, **SMALL), 1),
    "nft lora 3": (replace(NFT_CONFIG, **SMALL, lora=LORA), 3),
}


def sharded(stage: int) -> dict[str, Any]:
    """The tools of a job with this engine."""
    return {
        "engine": lambda policy, config, schedule: DeepSpeedEngine(policy, config, schedule, stage),
        "sharded": stage == 3,
    }


def apart(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """The length of the difference. (Adam moves a weight whose gradient is 0 but for rounding by lr in either direction.)"""
    assert a.keys() == b.keys()
    return sum(float((a[n] - b[n]).square().sum()) for n in a) ** 0.5


def compare(name: str, out: Path) -> dict[str, Any]:
    """Two steps under ZeRO, of which the second is a resumption, against two in one process."""
    config, stage = ARMS[name]
    for steps in (1, 2):
        own = training(replace(config, steps=steps), load=load_kontext, **sharded(stage))
        own.run(out / name)
    if dist.get_rank() > 0:
        return {}
    whole = training(config, load=load_kontext)
    start = weights(whole.flow)
    whole.run(out / f"{name} whole")
    rows, theirs = journal(out / name), journal(out / f"{name} whole")
    ended = weights(whole.flow)
    if config.lora.rank:
        start = weights(load_kontext())
    return {
        "weights": apart(weights(own.flow), ended),
        "moved": apart(ended, start),
        "norms": max(abs(a["grad_norm"] / b["grad_norm"] - 1) for a, b in zip(rows[0], theirs[0], strict=True)),
        "rewards": max(abs(a["reward"] - b["reward"]) for a, b in zip(rows[1], theirs[1], strict=True)),
        "ratio_first": max(row.get("trained/ratio_first", 0.0) for row in rows[0]),
    }


def main() -> None:
    torch.set_num_threads(1)
    join("cpu", 600)
    try:
        results = {name: compare(name, Path(sys.argv[1])) for name in ARMS}
        if dist.get_rank() == 0:
            Path(sys.argv[1], "result.json").write_text(json.dumps(results))
    finally:
        leave()


if __name__ == "__main__":
    main()
