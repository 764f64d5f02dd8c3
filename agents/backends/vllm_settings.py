"""All that a vLLM engine needs to know about the trained model, in a form that can be sent to another process."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.backends.lora import AdapterShape
from agents.backends.vlm import VLM
from common.errors import BadInput, MissingFile


@dataclass(frozen=True)
class EngineSettings:
    """All that an engine needs to know; it can be sent to another process. `shapes` are the trained model's parameters,
    `tied` other names of them (alias -> parameter)."""

    folder: str
    dtype: str
    device: str
    shapes: dict[str, tuple[int, ...]]
    tied: dict[str, str]
    banned_ids: tuple[int, ...]
    eos_id: int
    image_token_id: int
    vocab: int
    max_tokens: int = 4096  # of a prompt and its answer
    max_sequences: int = 128
    cache_gib: float = 0.25
    sleep: bool = False
    sync_limit_s: float = 300.0
    graphs: bool = False  # CUDA graphs: a slow start and fast steps
    adapters: AdapterShape | None = None  # what its slot takes; None: it has none

    @property
    def signature(self) -> str:
        """Equal for engines that can stand in for each other once the weights are synced: those of a checkpoint, and of what a
        training of it saved."""
        values = {k: v for k, v in vars(self).items() if k not in ("folder", "graphs")}
        config = _architecture(json.loads((Path(self.folder) / "config.json").read_text(encoding="utf-8")))
        return hashlib.sha256((config + repr(sorted(values.items()))).encode()).hexdigest()


SAVED = frozenset(
    {"dtype", "torch_dtype", "transformers_version", "_name_or_path", "use_cache"}
)  # say nothing of a model's shape


def _architecture(config: Any) -> str:
    """What a config.json says of the model, without what depends on who saved it."""

    def shaped(value: Any) -> Any:
        return {k: shaped(v) for k, v in value.items() if k not in SAVED} if isinstance(value, dict) else value

    return json.dumps(shaped(config), sort_keys=True)


def settings_of(vlm: VLM, **limits: Any) -> EngineSettings:
    """Settings for a model; `limits` are max_tokens, max_sequences, cache_gib, sleep, sync_limit_s, graphs, adapters."""
    if not (vlm.path / "config.json").is_file():
        raise MissingFile(
            f"vLLM reads a model's configuration from its folder, and there is no config.json in {vlm.path}"
        )
    model = vlm.model
    _check_layers(vlm)
    own = {id(p): name for name, p in model.named_parameters()}
    every = dict(model.named_parameters(remove_duplicate=False))
    text = model.config.get_text_config()
    limits["max_tokens"] = min(limits.get("max_tokens", 4096), text.max_position_embeddings)
    return EngineSettings(
        str(vlm.path), str(model.dtype).removeprefix("torch."), model.device.type,
        {name: tuple(every[name].shape) for name in own.values()},
        {name: own[id(p)] for name, p in every.items() if own[id(p)] != name},
        vlm.banned_ids, vlm.eos_id, vlm.image_token_id, text.vocab_size, **limits,
    )  # fmt: skip


def _check_layers(vlm: VLM) -> None:
    said = json.loads((vlm.path / "config.json").read_text(encoding="utf-8"))
    said = said.get("text_config", said).get("num_hidden_layers")
    if said not in (None, there := vlm.model.config.get_text_config().num_hidden_layers):
        raise BadInput(
            f"vLLM reads a model's configuration from its folder: {vlm.path} has {said} layers and the model {there}. Take "
            "rollouts=hf, or a supervised start (algo.sft.steps), after which the model has a folder of its own"
        )


__all__ = ["EngineSettings", "settings_of"]
