"""Peak memory of a phase: of the GPU where torch uses one, else of this process."""

from __future__ import annotations

import resource
from pathlib import Path

import torch

MIB = 2**20
PROC = Path("/proc/self")
PAGE = resource.getpagesize()


def reset_peak() -> None:
    """Start a new measurement for `peak`."""
    if on_gpu():
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        (PROC / "clear_refs").write_text("5")  # see proc(5): the peak is set to the present size
    except OSError:
        return  # `peak` then says None


def peak() -> float | None:
    """MiB: allocated by torch on the GPU, or resident pages of the process; None where the system keeps no such peak."""
    if on_gpu():
        return torch.cuda.max_memory_allocated() / MIB
    try:
        if not (PROC / "clear_refs").exists():
            return None
        lines = (PROC / "status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None


def on_gpu() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_initialized()


def resident() -> float | None:
    """MiB of this process in main memory now; None where the system does not say."""
    try:
        return int((PROC / "statm").read_text().split()[1]) * PAGE / MIB
    except (OSError, IndexError, ValueError):
        return None


__all__ = ["on_gpu", "peak", "reset_peak", "resident"]
