"""What an editor is: pictures and instructions in, pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PIL import Image

from benchmarks.errors import BadInput


class Editor(Protocol):
    """Edits a batch. Results are RGB, in order, each of its input's size; the inputs are left as they are. The same seed
    gives the same picture, whatever else is in the batch."""

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]: ...


def check_batch(images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]) -> None:
    """Raise BadInput where the three lists differ in length."""
    if not len(images) == len(instructions) == len(seeds):
        raise BadInput(
            f"an editor needs one instruction and one seed per picture, got {len(images)} pictures, "
            f"{len(instructions)} instructions and {len(seeds)} seeds"
        )


__all__ = ["Editor", "check_batch"]
