"""How the rows of a batch are put into forwards of the denoiser. Which rows share a forward changes no picture beyond rounding.

Padding costs twice on a GPU: the padded tokens are computed, and the mask that hides them keeps PyTorch's attention from its
flash kernels, which take none. diffusers' pipelines edit one picture at a time and never pay for either. So on a GPU rows share
a forward only where their texts have one length; on a CPU, where a forward of few rows is dear, they are padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editors.conditioning import TextEmbeddings
from editors.settings import Forwards


@dataclass(frozen=True)
class Forward:
    """One forward: its rows as (branch, row of the batch), their text, and the name of its cache."""

    name: str
    rows: tuple[tuple[int, int], ...]
    text: TextEmbeddings


def plan_forwards(branches: Sequence[TextEmbeddings], how: Forwards) -> list[Forward]:
    """Forwards that hold every row of every branch once. `branches` are the instructions, and the negative prompts where there
    is guidance. The same branches give the same forwards in every step."""
    groups: dict[tuple[int | None, int | None], list[tuple[int, int]]] = {}
    for b, text in enumerate(branches):
        lengths = [None] * len(text.embeds) if how.padded else _lengths(text)
        for row, length in enumerate(lengths):
            groups.setdefault((None if how.both_branches else b, length), []).append((b, row))
    return [
        Forward(_name(branch, length), tuple(rows), _texts(branches, rows)) for (branch, length), rows in groups.items()
    ]


def _lengths(text: TextEmbeddings) -> list[int]:
    if text.mask is None:
        return [text.embeds.shape[1]] * len(text.embeds)
    return [int(n) for n in text.mask.sum(1).tolist()]


def _name(branch: int | None, length: int | None) -> str:
    name = "both" if branch is None else ("cond", "uncond")[branch]
    return name if length is None else f"{name} {length}"


def _texts(branches: Sequence[TextEmbeddings], rows: Sequence[tuple[int, int]]) -> TextEmbeddings:
    """The rows' text; a branch that is whole is not copied."""
    parts = []
    for b, text in enumerate(branches):
        own = [row for branch, row in rows if branch == b]
        if own:
            parts.append(text if len(own) == len(text.embeds) else text.select(own))
    return parts[0] if len(parts) == 1 else TextEmbeddings.concat(parts)


__all__ = ["Forward", "plan_forwards"]
