"""Adapters in vLLM's own LoRA slot: a sync sends A and B alone, and the weights beside them stay where they are.

The slot is filled through vLLM's public call (`add_lora`), which reads a folder: one in main memory where there is such a place,
a small part of the model. Every sync is a new version under a new number, so that nothing that was computed with an older
one can be taken for it; afterwards everything is read back from the slot and compared.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.backends.adapter_ranks import RANKS, slot_rank
from agents.backends.base import SyncReport, fingerprint
from agents.backends.deadline import Progress
from agents.backends.lora import AdapterShape, Pair, copied, named_matrices, write_adapters
from agents.backends.vllm_version import SLOTS_SINCE, installed_release
from agents.backends.vllm_weights import ParameterSlice, settled
from agents.backends.vlm import VLM
from common.errors import RunFailed
from common.third_party import library_lines


def why_merged(vlm: VLM, shape: AdapterShape) -> str:
    """Why adapters of this shape on this model cannot be synced alone; empty where they can. What vLLM is asked to load without
    a slot for it is left out silently by some releases, so that only what was tried is taken."""
    release = installed_release()
    if release is None or release < SLOTS_SINCE:
        have = "this one cannot be told" if release is None else f"this is {release[0]}.{release[1]}"
        return f"that was tried from vLLM {SLOTS_SINCE[0]}.{SLOTS_SINCE[1]} on, and {have}"
    if slot_rank(shape.rank) is None:
        return f"vLLM's largest slot has rank {RANKS[-1]}, and algo.lora.rank is {shape.rank}"
    if vlm.model.device.type == "cuda" and vlm.model.dtype == torch.float32:
        return "vLLM's kernels for adapters on CUDA have 16 bits, and decomposer.dtype is float32"
    return ""


def slot_arguments(shape: AdapterShape | None) -> dict[str, Any]:
    """With what vLLM is started to have one slot."""
    if shape is None:
        return {}
    return {
        "enable_lora": True,
        "max_loras": 1,
        "max_lora_rank": slot_rank(shape.rank),
        "enable_tower_connector_lora": shape.vision,
    }


class AdapterSlot:
    """The one slot of an engine, empty at first."""

    def __init__(self, engine: Any, model: Any, shape: AdapterShape, places: Mapping[str, ParameterSlice]) -> None:
        """`places`: where the engine holds each parameter of the trained model."""
        self.shape, self.request = shape, None  # `request`: what vLLM wants beside each prompt that uses the adapters
        self._engine, self._model, self._places = engine, model, places
        self._version = 0

    def fill(self, adapters: Mapping[str, Pair], dtype: torch.dtype, progress: Progress) -> SyncReport:
        """Put these in place of what was there, and prove it. Raises RunFailed naming what has no place, or is not held."""
        from vllm.lora.request import LoRARequest

        adapters = copied(adapters, dtype)
        for layer in adapters:
            self._place(layer)
        self.clear()
        self._version += 1
        folder = Path(tempfile.mkdtemp(prefix="adapters-", dir=_main_memory()))
        try:
            progress.at("writing adapters")
            write_adapters(folder, adapters, self.shape)
            progress.at("loading adapters")
            request = LoRARequest(f"version-{self._version}", self._version, str(folder))
            with library_lines():
                taken = self._engine.add_lora(request)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if not taken:
            raise RunFailed(f"weight sync: vLLM did not take version {self._version} of the adapters")
        progress.at("reading adapters back")
        self._compare(adapters)
        self.request = request
        return fingerprint((name, settled(value)) for name, value in named_matrices(adapters))

    def clear(self) -> None:
        """Prompts are then answered without adapters."""
        if self.request is not None:
            self._engine.remove_lora(self.request.lora_int_id)
            self.request = None

    def _place(self, layer: str) -> tuple[Any, int]:
        """The engine's layer with a slot, and which of its joined parts (q, k, v; gate, up) this one is. Raises RunFailed."""
        place = self._places.get(f"{layer}.weight")
        owner = "" if place is None else place.name.removesuffix(".weight").removesuffix(".base_layer")
        module = self._model.lora_manager.modules.get(owner)
        if place is None or module is None:
            raise RunFailed(f"weight sync: vLLM has no slot for adapters of {layer}; take rollouts.adapters=merged")
        parts = sorted(p.start for p in self._places.values() if p.name == place.name)
        return module, parts.index(place.start)

    def _compare(self, adapters: Mapping[str, Pair]) -> None:
        index = self._model.lora_manager.lora_index_to_id.index(self._version)
        for layer, pair in adapters.items():
            module, part = self._place(layer)
            rank = pair.a.shape[0]
            held = {"A": module.lora_a_stacked[part][index, 0], "B": module.lora_b_stacked[part][index, 0]}
            rest = bool(held["A"][rank:].any()) or bool(held["B"][:, rank:].any())
            same = _same(held["A"][:rank], pair.a) and _same(held["B"][:, :rank], pair.b * self.shape.scale)
            if rest or not same:
                raise RunFailed(f"weight sync: what vLLM holds of the adapter of {layer} is not what was sent")


def _same(held: Tensor, sent: Tensor) -> bool:
    return held.shape == sent.shape and torch.equal(held.cpu(), sent)


def _main_memory() -> Path | None:
    """A folder in main memory, where the system has one."""
    place = Path("/dev/shm")
    return place if place.is_dir() else None


__all__ = ["RANKS", "AdapterSlot", "slot_arguments", "slot_rank", "why_merged"]
