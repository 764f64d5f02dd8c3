"""The decomposer's model, and the decomposer made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import BadInput
from conf.schema import DecomposerConfig, EngineConfig
from experiments.build.device import device_of

if TYPE_CHECKING:
    from agents.backends.base import Backend
    from agents.backends.vlm import VLM
    from agents.decomposer import Decomposer


def make_vlm(config: DecomposerConfig, engine: EngineConfig, checkpoint: str | Path | None = None) -> VLM:
    """The decomposer's model, from its own checkpoint or from another folder of the same kind."""
    from agents.backends.vlm import load_vlm

    if config.dtype not in ("float32", "bfloat16", "float16"):
        raise BadInput(f"decomposer.dtype={config.dtype} is unknown; choose float32, bfloat16 or float16")
    return load_vlm(checkpoint or config.checkpoint, config.dtype, device_of(engine))


def make_decomposer(config: DecomposerConfig, backend: Backend) -> Decomposer:
    from agents.backends.base import Sampling
    from agents.decomposer import Decomposer, load_prompt

    sampling = Sampling(config.max_new_tokens, config.temperature)
    return Decomposer(backend, load_prompt(config.prompt), sampling, config.max_request_chars)


__all__ = ["make_vlm", "make_decomposer"]
