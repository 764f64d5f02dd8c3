"""float32 is float32: what is computed twice, by the trainer and by a rollout engine, must not be rounded in between.

On CUDA float32 products may be made in TF32, of 10 bits, which moves log-probs by nearly 1e-3: torch does so for convolutions
unless it is told not to, Triton's kernels (vLLM's attention) by default, and vLLM lets the environment decide for the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

ENVIRONMENT: Mapping[str, str] = {  # of this process and of those that it starts, unless the user set them
    "TRITON_F32_DEFAULT": "ieee",
    "VLLM_FLOAT32_MATMUL_PRECISION": "highest",
    "NVIDIA_TF32_OVERRIDE": "0",  # read by cuBLAS and cuDNN when they are loaded
}


def exact_float32() -> None:
    """No TF32 in torch, in this process; and in kernels and processes that are started from now on."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def is_exact() -> bool:
    return not (
        torch.backends.cuda.matmul.allow_tf32
        or torch.backends.cudnn.allow_tf32
        or torch.get_float32_matmul_precision() != "highest"
    )


__all__ = ["ENVIRONMENT", "exact_float32", "is_exact"]
