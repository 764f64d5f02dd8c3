"""Pictures as tensors, and two pictures of one size: how metrics see what they compare."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from common.pictures import to_rgb

CHANGES = 128  # a mask's grey level from which something was to change


def tensor(picture: Image.Image, size: tuple[int, int] | None = None) -> torch.Tensor:
    """float64[3, H, W] in 0..1, in `size` (width, height) if given: resized by PIL's bicubic, as MagicBrush's script does
    (arXiv 2306.10012). Another aspect ratio is stretched."""
    picture = to_rgb(picture)
    if size is not None and picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).to(torch.float64) / 255


def background(mask: Image.Image, size: tuple[int, int]) -> torch.Tensor:
    """bool[H, W]: where nothing was to change. A mask of another size is resized without new grey levels."""
    mask = mask.convert("L")
    if mask.size != size:
        mask = mask.resize(size, Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(mask) < CHANGES)


__all__ = ["CHANGES", "background", "tensor"]
