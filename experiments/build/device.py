"""Where torch computes, and in how many threads."""

from __future__ import annotations

from common.errors import BadInput
from conf.schema import EngineConfig


def use_threads(config: EngineConfig) -> None:
    """Fix torch's threads: another number sums in another order and ends in other last bits."""
    import torch

    if config.threads < 1:
        raise BadInput(f"engine.threads must be at least 1, not {config.threads}")
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # subnormal numbers are slow on many CPUs


def device_of(config: EngineConfig) -> str:
    import torch

    if config.device not in ("auto", "cpu", "cuda"):
        raise BadInput(f"engine.device={config.device} is unknown; choose auto, cpu or cuda")
    return ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device


__all__ = ["use_threads", "device_of"]
