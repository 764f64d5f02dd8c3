"""Matrix products by oneDNN, on processors where torch's default library, MKL, uses half of the vector width.

On AMD processors MKL uses 256-bit instructions; oneDNN, which torch also contains, uses 512-bit ones. That is about twice as
fast on every linear layer in fp32, and equal up to the order of additions. On Intel processors nothing changes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@cache
def mkl_is_slow() -> bool:
    """Whether this is an AMD processor with AVX-512 under a torch that has both libraries. This is read from
    the machine and not timed, so that one machine always gives the same last bits."""
    info = Path("/proc/cpuinfo")
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    both = torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()
    return wide and both and info.is_file() and "AuthenticAMD" in info.read_text()


def use_onednn(model: nn.Module) -> None:
    """Make every plain linear layer of a model use oneDNN, where that is faster; idempotent."""
    if mkl_is_slow():
        for module in model.modules():
            if type(module) is nn.Linear:
                module.__class__ = OneDNNLinear


class OneDNNLinear(nn.Linear):
    """nn.Linear with oneDNN's products; empty inputs and types other than fp32 on the CPU use torch's default."""

    def forward(self, input: Tensor) -> Tensor:
        plain = input.dtype == self.weight.dtype == torch.float32 and input.device.type == "cpu" and input.numel() > 0
        if not plain:
            return super().forward(input)
        if not torch.is_grad_enabled():  # autograd's own Python costs as much as a small product
            return _matmul(input, self.weight, self.bias)
        return _Linear.apply(input, self.weight, self.bias)


class _Linear(torch.autograd.Function):
    """x W^T + b and its derivatives: x [..., in], W [out, in], b [out] or None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _matmul(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        rows = grad.reshape(-1, grad.shape[-1])
        d_x = _matmul(grad, weight.t()) if need_x else None
        d_weight = None
        if need_weight:  # both with the summed dimension last, as the fast kernels want them
            d_weight = _matmul(rows.t().contiguous(), x.reshape(-1, x.shape[-1]).t().contiguous())
        return d_x, d_weight, rows.sum(0) if need_bias else None


def _matmul(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x [n, in], weight [out, in] -> x W^T [n, out] by the faster library, for those who write their own derivatives."""
    if mkl_is_slow() and x.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0:
        return _matmul(x, weight) if x.is_contiguous() else _matmul(x.contiguous(), weight.contiguous())
    return nn.functional.linear(x, weight)


__all__ = ["OneDNNLinear", "mkl_is_slow", "product", "use_onednn"]
