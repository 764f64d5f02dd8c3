"""What an editor is: pictures and instructions in, pictures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from PIL import Image

from common.errors import BadInput

OnCall = Callable[[int, int, Image.Image], None]  # row of the batch, number of the call (from 0), what it gave


class Editor(Protocol):
    """Edits a batch. Results are RGB, in order, each of its input's size; the inputs are left as they are. The same seed
    gives the same picture, whatever else is in the batch."""

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]: ...


@runtime_checkable
class ChainEditor(Editor, Protocol):
    """An editor that keeps a picture at its own working size between calls, instead of fitting it anew for each."""

    def edit_chain(
        self,
        images: Sequence[Image.Image],
        instructions: Sequence[Sequence[str]],
        seeds: Sequence[Sequence[int]],
        on_call: OnCall | None = None,
    ) -> list[list[Image.Image]]:
        """`instructions[b][k]` with `seeds[b][k]` on what call k - 1 gave; what each call gave, at the picture's own size.
        `on_call(b, k, picture)` is called as soon as a call ended; nobody passes it where nobody watches."""


@runtime_checkable
class LimitedEditor(Editor, Protocol):
    """An editor that may leave the end of a long instruction unread."""

    def unread(self, instructions: Sequence[str]) -> list[str]:
        """For each instruction a sentence about what of it is not read, "" where all of it is."""


def check_batch(images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]) -> None:
    """Raise BadInput where the three lists differ in length."""
    if not len(images) == len(instructions) == len(seeds):
        raise BadInput(
            f"an editor needs one instruction and one seed per picture, got {len(images)} pictures, "
            f"{len(instructions)} instructions and {len(seeds)} seeds"
        )


__all__ = ["ChainEditor", "Editor", "LimitedEditor", "OnCall", "check_batch"]
