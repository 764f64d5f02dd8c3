"""RMSNorm and SwiGLU of a language model by liger-kernel's Triton kernels: each reads and writes its tokens once instead of in
several elementwise steps. Optional: for CUDA, where the package is installed. The weights and modules stay the model's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import MethodType
from typing import Any

from torch import Tensor, nn

from common.errors import BadInput
from common.progress import say

NORMS = ("Qwen2_5_VLRMSNorm", "Qwen3VLTextRMSNorm")
MLPS = ("Qwen2MLP", "Qwen3VLTextMLP")
SILU = ("SiLU", "SiLUActivation")  # torch's, and transformers' own
MODES = ("auto", "true", "false")


def use_fused(model: nn.Module, mode: str = "auto") -> int:
    """Switch the norms and the activations of a Qwen2.5-VL or Qwen3-VL; returns how many modules were switched. `auto` does so
    where it can; `true` says in one line why it cannot.

    Raises BadInput for an unknown mode."""
    if mode not in MODES:
        raise BadInput(f"fused={mode} is unknown; choose from {', '.join(MODES)}")
    if mode == "false":
        return 0
    device = next(model.parameters()).device.type
    kernels = liger() if device == "cuda" else None
    if kernels is None:
        if mode == "true":
            lacks = "liger-kernel is not installed: make extra-fused"
            _say_why(lacks if device == "cuda" else f"it runs on {device}, and liger-kernel needs CUDA")
        return 0
    return switch(model, *kernels)


Norm = Callable[[Tensor, Tensor, float], Tensor]
Gate = Callable[[Tensor, Tensor], Tensor]


@cache
def liger() -> tuple[Norm, Gate] | None:
    """(x, weight, eps) -> its norm, and (a, b) -> silu(a) b; None where the package is not installed."""
    try:
        from liger_kernel.transformers.functional import liger_rms_norm, liger_swiglu
    except ImportError:
        return None
    return liger_rms_norm, liger_swiglu


def switch(model: nn.Module, norm: Norm, gate: Gate) -> int:
    """Only the given model changes, not its classes, and not the vision tower."""
    switched = 0
    for module in model.model.language_model.modules():  # type: ignore[union-attr]
        kind = type(module).__name__
        if kind in NORMS:
            module.forward = MethodType(_normed(norm), module)
        elif kind in MLPS and type(module.act_fn).__name__ in SILU:
            module.forward = MethodType(_gated(gate), module)
        else:
            continue
        switched += 1
    return switched


def _normed(norm: Norm) -> Callable[[Any, Tensor], Tensor]:
    return lambda module, x: norm(x, module.weight, module.variance_epsilon)


def _gated(gate: Gate) -> Callable[[Any, Tensor], Tensor]:
    return lambda module, x: module.down_proj(gate(module.gate_proj(x), module.up_proj(x)))


@cache
def _say_why(reason: str) -> None:
    say(f"  fused=true changes nothing: {reason}")


__all__ = ["liger", "switch", "use_fused"]
