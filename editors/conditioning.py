"""What a flow model is given beside the noise: the packed latents of the source pictures and the encoded instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from common.errors import BadInput


@dataclass(frozen=True)
class TextEmbeddings:
    """Encoded instructions: embeds [B, T, D], padded on the right where mask [B, T] is False (None: no padding), and
    pooled [B, D] for models that want it."""

    embeds: Tensor
    mask: Tensor | None = None
    pooled: Tensor | None = None

    @classmethod
    def pad(cls, rows: Sequence[Tensor]) -> TextEmbeddings:
        """Rows [T_b, D] of different lengths as one batch."""
        lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
        embeds = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
        return cls(embeds, _padding_mask(lengths, embeds.shape[1]))

    @classmethod
    def concat(cls, parts: Sequence[TextEmbeddings]) -> TextEmbeddings:
        """The rows of all parts, in order, padded to the longest."""
        rows = [row for part in parts for row in part.unpadded()]
        pooled = [part.pooled for part in parts if part.pooled is not None]
        return replace(cls.pad(rows), pooled=torch.cat(pooled) if pooled else None)

    def unpadded(self) -> list[Tensor]:
        """The rows [T_b, D] without their padding."""
        if self.mask is None:
            return list(self.embeds)
        return [row[keep] for row, keep in zip(self.embeds, self.mask, strict=True)]

    def select(self, rows: Sequence[int]) -> TextEmbeddings:
        """These rows (repeats allowed), cut to the longest of them: padding that no row needs costs time."""
        index = torch.as_tensor(rows, device=self.embeds.device)
        embeds, mask = self.embeds[index], None
        if self.mask is not None:
            lengths = self.mask[index].sum(1)
            width = int(lengths.max())
            embeds, mask = embeds[:, :width], _padding_mask(lengths, width)
        return TextEmbeddings(embeds, mask, None if self.pooled is None else self.pooled[index])


def _padding_mask(lengths: Tensor, width: int) -> Tensor | None:
    mask = torch.arange(width, device=lengths.device)[None] < lengths[:, None]
    return None if bool(mask.all()) else mask


@dataclass(frozen=True)
class Conditioning:
    """Pictures of one grid and their instructions, encoded once; G variants share them by `repeat(G)`."""

    grid: tuple[int, int]  # width, height in pixels
    source: Tensor  # [B, N, C], packed latents of the pictures
    text: TextEmbeddings
    negative: TextEmbeddings | None = None  # None: not guided

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def concat(cls, parts: Sequence[Conditioning]) -> Conditioning:
        """The rows of all parts, in order. Raises BadInput where their grids differ or only some have a negative prompt."""
        if len({(part.grid, part.negative is None) for part in parts}) != 1:
            raise BadInput(
                f"a batch has one grid and is guided or not: got {[(p.grid, p.negative is not None) for p in parts]}"
            )
        negative = [part.negative for part in parts if part.negative is not None]
        return cls(
            parts[0].grid,
            torch.cat([part.source for part in parts]),
            TextEmbeddings.concat([part.text for part in parts]),
            TextEmbeddings.concat(negative) if negative else None,
        )

    def select(self, rows: Sequence[int]) -> Conditioning:
        """These rows, in this order, repeats allowed."""
        index = torch.as_tensor(rows, device=self.source.device)
        negative = None if self.negative is None else self.negative.select(rows)
        return replace(self, source=self.source[index], text=self.text.select(rows), negative=negative)

    def repeat(self, times: int) -> Conditioning:
        """Every row `times` times, side by side: [B * times, ...]."""
        return self.select([row for row in range(len(self)) for _ in range(times)])


__all__ = ["Conditioning", "TextEmbeddings"]
