"""`editor.vae_channels_last`: the layout of an autoencoder's convolutions in memory.

Tensor cores of a GPU convolve with the channels of a pixel side by side; in PyTorch's usual layout every convolution is
transposed on its way in and out. The numbers are the same up to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}  # by the number of a kernel's dimensions


def use_channels_last(vae: nn.Module) -> None:
    """Change the layout of all kernels in place. Convolutions give what they compute in the layout of their kernels, so that
    everything between them follows."""
    for parameter in vae.parameters():
        if layout := LAYOUTS.get(parameter.dim()):
            parameter.data = parameter.data.to(memory_format=layout)


def side_by_side(values: Tensor) -> bool:
    """Whether the channels of a pixel [B, C, (1,) H, W] lie side by side."""
    return values.is_contiguous(memory_format=LAYOUTS[values.dim()])


__all__ = ["side_by_side", "use_channels_last"]
