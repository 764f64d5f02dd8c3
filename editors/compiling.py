"""`editor.compile=auto`: whether the denoiser's repeated blocks are compiled, which makes a start slow and every step faster.

Only the blocks are compiled (diffusers' compile_repeated_blocks): each kind of block once, whatever their number. A start is
assumed to take a minute [assumed], and a compiled step to save a sixth of the time [assumed: fused norms, gates and rotary
positions; the matrix products stay as they are]. So it pays where the edits to come would take longer than six minutes at the speed
that FLUX Kontext reached on an H100 (measured 2026-11-27). A command that does not know how many edits will be asked for does not
compile.
"""

from __future__ import annotations

START_S = 60.0  # assumed
SAVED = 1 / 6  # of the time of denoising, assumed
SPEED = 380e12  # FLOP/s, measured


def compiles(choice: str | bool, flops: float, device: str, offload: str = "none") -> bool:
    """`flops`: of all denoising to come, 0 where that is not known. On a CPU, and with offload=sequential, whose hooks break every
    block's graph, only where it was asked for."""
    if choice != "auto":
        return bool(choice)
    return device.startswith("cuda") and offload != "sequential" and flops / SPEED * SAVED > START_S


__all__ = ["compiles"]
