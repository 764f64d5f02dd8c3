"""Whole trainings of flow editors small enough for a test, rewarded for red pictures: of the hand-written model, and of a small
FLUX Kontext where adapters or blocks matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from agents.backends.base import fingerprint
from benchmarks.base import EditSample
from common.jsonl import read_jsonl
from editors.flow import FlowModel
from rl.config import LoraConfig
from rl.engine.torch import TorchEngine
from rl.flow_config import FlowGRPOConfig, NFTConfig
from rl.flow_training import FlowGRPOTraining, NFTTraining
from rl.parts import FlowTools
from tests.editor_pipelines import noise_picture
from tests.rl.flow_models import LinearFlow, kontext_policy

SMALL: dict[str, Any] = {
    "steps": 4, "prompts_per_step": 2, "group_size": 4, "sampling_steps": 4, "micro_batch_size": 3, "rollout_batch_size": 5,
    "lr": 1e-3, "checkpoint_every": 2,
}  # fmt: skip
CONFIG = FlowGRPOConfig(**SMALL, noise_level=0.7, updates_per_batch=2, kl_coef=0.01)
NFT_CONFIG = NFTConfig(**SMALL)
LORA = LoraConfig(rank=4, alpha=8)
TEXTS = ("make the sky red", "add a hat", "turn the circle blue")


@dataclass
class Scored:
    total: float | None
    components: dict[str, float | None] = field(default_factory=dict)


def sample(index: int) -> EditSample:
    return EditSample(f"s{index}", TEXTS[index % len(TEXTS)], (), picture=noise_picture((32, 32), index))


def redness(samples: Sequence[EditSample], pictures: Sequence[Image.Image], seeds: Sequence[int]) -> list[Scored]:
    pixels = [np.asarray(picture, float).mean((0, 1)) / 255 for picture in pictures]
    return [Scored(float(rgb[0]), {"red": float(rgb[0]), "dark": float(1 - rgb.mean())}) for rgb in pixels]


def load_linear() -> FlowModel:
    return LinearFlow()  # type: ignore[return-value]


def load_kontext() -> FlowModel:
    return kontext_policy().flow


def tools(**changes: Any) -> FlowTools:
    values: dict[str, Any] = {
        "load": load_linear,
        "engine": lambda policy, config, schedule: TorchEngine(policy(), config, schedule),
        "sharded": False,
        "sample": sample,
        "instruction": lambda s: s.request,
        "reward": redness,
        "seed": 3,
    }
    return FlowTools(**values | changes)


def training(config: FlowGRPOConfig | NFTConfig = CONFIG, **changes: Any) -> Any:
    make = NFTTraining if isinstance(config, NFTConfig) else FlowGRPOTraining
    return make(config, tools(**changes))  # type: ignore[arg-type]


def weights(flow: FlowModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in flow.transformer.named_parameters()}


def checksum(flow: FlowModel) -> str:
    return fingerprint(flow.transformer.named_parameters()).checksum


def journal(folder: Path) -> list[Any]:
    """Every logged number that is no time or memory."""
    timed = ("time/", "memory/", "perf/", "images_per_s")
    rows = [{k: v for k, v in r.items() if not k.startswith(timed)} for r in read_jsonl(folder / "metrics.jsonl")]
    return [rows, read_jsonl(folder / "samples.jsonl")]


__all__ = [
    "CONFIG",
    "LORA",
    "NFT_CONFIG",
    "Scored",
    "checksum",
    "journal",
    "load_kontext",
    "redness",
    "sample",
    "tools",
    "training",
    "weights",
]
