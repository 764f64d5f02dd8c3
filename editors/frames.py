"""Qwen-Image's VAE on single pictures. Its causal 3-D convolutions see one frame preceded by zeros, so a 2-D convolution with
the last slice of each kernel gives the same numbers in half the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d
from torch import Tensor, nn


def _one_frame(self: QwenImageCausalConv3d, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
    if x.shape[2] != 1 or cache_x is not None:
        return QwenImageCausalConv3d.forward(self, x, cache_x)
    left, _, top, *_ = self._padding
    flat = F.conv2d(x.squeeze(2), self.weight[:, :, -1], self.bias, self.stride[1:], (top, left))
    return flat.unsqueeze(2)


@contextmanager
def single_frame(vae: nn.Module) -> Iterator[Any]:
    """Within the `with` block, `vae` (AutoencoderKLQwenImage) uses 2-D convolutions for single frames."""
    layers = [m for m in vae.modules() if isinstance(m, QwenImageCausalConv3d) and "forward" not in vars(m)]
    for layer in layers:
        layer.forward = MethodType(_one_frame, layer)
    try:
        yield vae
    finally:
        for layer in layers:
            del layer.forward


__all__ = ["single_frame"]
