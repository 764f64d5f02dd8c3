"""Trained adapters (LoRA, arXiv 2106.09685) on their way to a rollout engine: a layer multiplies with W + (alpha / rank) B A, and
only A and B change in a training. Their names are those that peft gives to the parameters of the model under training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from common.errors import RunFailed

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # of a folder as peft writes it
MARKS = {"A": ".lora_A.default.weight", "B": ".lora_B.default.weight"}
PREFIX = "base_model.model."  # before every name in peft's own files


@dataclass(frozen=True)
class AdapterShape:
    """`rank` of every adapter, `alpha / rank` its scale; `vision`: the vision tower has some too."""

    rank: int
    alpha: int
    vision: bool = False

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


@dataclass(frozen=True)
class Pair:
    """A [rank, in] and B [out, rank] of one layer."""

    a: Tensor
    b: Tensor


def is_adapter(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def pairs(named: Iterable[tuple[str, Tensor]], rank: int) -> dict[str, Pair]:
    """Layer -> its matrices. Raises RunFailed for a parameter that is none of an adapter, one that came twice or without its
    other half, and another rank."""
    halves: dict[str, dict[str, Tensor]] = {}
    for name, value in named:
        layer, half = _split(name)
        if half in halves.setdefault(layer, {}):
            raise RunFailed(f"weight sync: {name} was written twice in one sync")
        if value.dim() != 2 or value.shape[half == "B"] != rank:
            raise RunFailed(f"weight sync: {name} is {tuple(value.shape)}, and the adapters have rank {rank}")
        halves[layer][half] = value
    if lone := sorted(layer for layer, both in halves.items() if len(both) < 2):
        missing = "B" if "A" in halves[lone[0]] else "A"
        raise RunFailed(f"weight sync: {lone[0]}{MARKS[missing]} was never sent, only the other half of that adapter")
    return {layer: Pair(both["A"], both["B"]) for layer, both in halves.items()}


def _split(name: str) -> tuple[str, str]:
    for half, mark in MARKS.items():
        if name.endswith(mark):
            return name.removesuffix(mark), half
    raise RunFailed(f"weight sync: {name} came with adapters and is none; whole weights and adapters are sent apart")


def write_adapters(folder: Path, adapters: Mapping[str, Pair], shape: AdapterShape) -> None:
    """A folder that peft and vLLM read."""
    matrices = {
        f"{PREFIX}{layer}.lora_{half}.weight": value.detach().cpu().contiguous()
        for layer, pair in adapters.items()
        for half, value in (("A", pair.a), ("B", pair.b))
    }
    save_file(matrices, folder / WEIGHTS)
    config = {
        "peft_type": "LORA",
        "r": shape.rank,
        "lora_alpha": shape.alpha,
        "target_modules": sorted(adapters),
        "bias": "none",
    }
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")


def named_matrices(adapters: Mapping[str, Pair]) -> Iterable[tuple[str, Tensor]]:
    """The matrices under the names that they were sent with."""
    for layer, pair in adapters.items():
        yield layer + MARKS["A"], pair.a
        yield layer + MARKS["B"], pair.b


def copied(adapters: Mapping[str, Pair], dtype: torch.dtype) -> dict[str, Pair]:
    """A copy in main memory, in the engine's type."""
    return {layer: Pair(*(x.detach().to("cpu", dtype, copy=True) for x in (p.a, p.b))) for layer, p in adapters.items()}


__all__ = ["AdapterShape", "Pair", "copied", "is_adapter", "named_matrices", "pairs", "write_adapters"]
