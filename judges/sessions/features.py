"""What a vision transformer makes of pictures, token by token: DINOv3 (arXiv 2508.10104)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from common.errors import BadData
from common.pictures import to_rgb
from judges.sessions.detector import IMAGENET, load_model

SIDE = 256  # pixels: DINOv3 is published for pictures of this size


@dataclass(frozen=True)
class Tokens:
    """Of B pictures after the last norm, float32 on the CPU: `cls` [B, C], `registers` [B, R, C], and `patches` [B, N, C], which
    lie row by row on `grid` = (rows, columns)."""

    cls: Tensor
    registers: Tensor
    patches: Tensor
    grid: tuple[int, int]


class PatchFeatures(Protocol):
    @property
    def side(self) -> int:
        """Pixels of a side of the square that the model sees."""
        ...

    def tokens(self, pictures: Sequence[Image.Image], crop: bool = False) -> Tokens:
        """Every picture is brought to the model's square: stretched as a whole, or with `crop` its shorter side is brought to
        the square's and the middle is cut out, which loses the ends of a picture that is not square."""
        ...


class DinoV3:
    """A DINOv3 ViT as transformers has it, e.g. facebook/dinov3-vitl16-pretrain-lvd1689m (ViT-L/16: one CLS token, four
    registers, 16 x 16 patches of a picture of 256 pixels)."""

    def __init__(self, folder: Path, device: str = "cpu", batch_size: int = 16, side: int = SIDE) -> None:
        """Raises BadData naming the folder for weights that are damaged, incomplete, or of another kind of model."""
        from transformers import CLIPImageProcessorPil, DINOv3ViTModel

        self.model = load_model(DINOv3ViTModel, folder).to(device)
        patch = self.model.config.patch_size
        if side % patch:
            raise BadData(f"{folder} has patches of {patch} pixels, which do not fill a square of {side}")
        self.registers: int = self.model.config.num_register_tokens
        self.grid = (side // patch, side // patch)
        square = {"height": side, "width": side}
        self.stretch: Any = CLIPImageProcessorPil(size=square, do_center_crop=False, **IMAGENET)  # its steps alone
        self.crop: Any = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=square, **IMAGENET)
        self.side, self.device, self.batch_size = side, device, batch_size

    @torch.no_grad()
    def tokens(self, pictures: Sequence[Image.Image], crop: bool = False) -> Tokens:
        prepare, parts = self.crop if crop else self.stretch, []
        for start in range(0, len(pictures), self.batch_size):
            part = [to_rgb(picture) for picture in pictures[start : start + self.batch_size]]
            pixels = prepare(part, return_tensors="pt")["pixel_values"].to(self.device)
            parts.append(self.model(pixel_values=pixels).last_hidden_state.float().cpu())
        tokens = torch.cat(parts)
        first = 1 + self.registers
        return Tokens(tokens[:, 0], tokens[:, 1:first], tokens[:, first:], self.grid)


__all__ = ["SIDE", "DinoV3", "PatchFeatures", "Tokens"]
