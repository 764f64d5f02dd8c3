"""Which tokens of a packed row of trees see which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEP = 128  # tokens of a block of the GPU kernels; lengths of padded rows are multiples of it


@dataclass(frozen=True)
class RowShape:
    """`end[j]` is the first index after token j's descendants: token i attends to j where j <= i < end[j].

    `sizes` cuts the row into pieces: trunks (what every answer to a prompt has in common, `is_trunk`) and, behind each, blocks of
    whole branches.
    """

    end: Sequence[int]
    sizes: Sequence[int]
    is_trunk: Sequence[bool]

    def __len__(self) -> int:
        return len(self.end)


def bucket(tokens: int) -> int:
    """The length that a row of so many tokens is padded to where kernels are compiled for shapes: a multiple of 128, and of a
    sixteenth of the power of two below, so that there are at most 16 lengths between a number and its double and a long row
    grows by less than 7 %."""
    step = max(STEP, 1 << max(0, tokens.bit_length() - 5))
    return -(-tokens // step) * step


__all__ = ["RowShape", "bucket"]
