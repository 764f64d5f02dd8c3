"""Features whose cosines can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image

from judges.sessions.features import Tokens


class MeanColours:
    """Patch features whose tokens are mean colours: the picture's for CLS, each patch's for patches; registers are constant."""

    def __init__(self, side: int = 32, patch: int = 8, registers: int = 4) -> None:
        self.side, self.patch, self.registers = side, patch, registers
        self.crops: list[bool] = []

    def tokens(self, pictures: Sequence[Image.Image], crop: bool = False) -> Tokens:
        self.crops.append(crop)
        pixels = torch.stack(
            [
                torch.tensor(list(p.resize((self.side, self.side)).tobytes()), dtype=torch.float32)
                .reshape(self.side, self.side, 3)
                .permute(2, 0, 1)
                for p in pictures
            ]
        )
        rows = self.side // self.patch
        patches = torch.nn.functional.avg_pool2d(pixels, self.patch).flatten(2).transpose(1, 2)
        registers = torch.ones(len(pictures), self.registers, 3)
        return Tokens(pixels.mean(dim=(2, 3)), registers, patches, (rows, rows))
