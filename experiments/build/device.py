"""Where torch computes, and in how many threads."""

from __future__ import annotations

from typing import Any

from common.errors import BadInput


def use_threads(engine: Any) -> None:
    """Fix torch's threads: another number sums in another order and ends in other last bits."""
    import numpy as np
    import torch

    for kind in (np.float32, np.float64):
        np.finfo(kind)  # numpy looks once, and would warn where subnormal numbers are flushed already
    torch.set_num_threads(engine.threads)
    torch.set_flush_denormal(True)  # subnormal numbers are slow on many CPUs


def device_of(engine: Any) -> str:
    """cpu or cuda, also where engine.device=auto."""
    if engine.device not in ("auto", "cpu", "cuda"):
        raise BadInput(f"engine.device={engine.device} is unknown; choose auto, cpu or cuda")
    if engine.device != "auto":
        return engine.device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


__all__ = ["device_of", "use_threads"]
