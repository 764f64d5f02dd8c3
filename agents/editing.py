"""The editing agent: carries out sub-requests with an editor, all in one instruction or one call each.

Between the calls of multi execution the picture stays in memory as it is: no file, no compression, no rounding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from agents.sequencer import EXECUTIONS
from benchmarks.errors import BadInput, RunFailed

if TYPE_CHECKING:
    from editors.base import Editor


@dataclass(frozen=True)
class Call:
    """One call of the editor."""

    instruction: str
    seed: int


@dataclass(frozen=True)
class Edited:
    """The calls made for one sample and the picture after each of them; the last one is the result."""

    calls: tuple[Call, ...]
    pictures: tuple[Image.Image, ...]


@dataclass(frozen=True)
class EditingAgent:
    """`execution`: "single" (all sub-requests in one instruction) or "multi" (one call each)."""

    editor: Editor
    execution: str = "single"

    def __post_init__(self) -> None:
        if self.execution not in EXECUTIONS:
            raise BadInput(f"unknown execution {self.execution!r}; choose single or multi")

    def instructions(self, sub_requests: Sequence[str]) -> tuple[str, ...]:
        """What the editor is told, call by call."""
        if not sub_requests:
            raise BadInput("there is nothing to do: the plan has no sub-request")
        return ("; ".join(sub_requests),) if self.execution == "single" else tuple(sub_requests)

    def run(
        self, ids: Sequence[str], images: Sequence[Image.Image], plans: Sequence[Sequence[str]], seed: int = 0
    ) -> list[Edited]:
        """Edit every image by its plan; samples share a batch in each round. Seeds depend on (seed, id, round)."""
        calls = [
            tuple(Call(text, call_seed(seed, id_, k)) for k, text in enumerate(self.instructions(plan)))
            for id_, plan in zip(ids, plans, strict=True)
        ]
        return execute(self.editor, images, calls)


def execute(editor: Editor, images: Sequence[Image.Image], calls: Sequence[Sequence[Call]]) -> list[Edited]:
    """Do `calls[b]` one after the other on `images[b]`; round k is one batch of all samples that have a k-th call."""
    pictures: list[list[Image.Image]] = [[image] for image in images]
    for k in range(max((len(c) for c in calls), default=0)):
        rows = [b for b, c in enumerate(calls) if k < len(c)]
        results = editor.edit(
            [pictures[b][-1] for b in rows], [calls[b][k].instruction for b in rows], [calls[b][k].seed for b in rows]
        )
        if len(results) != len(rows):
            raise RunFailed(f"the editor got {len(rows)} pictures and gave back {len(results)}; it must give one each")
        for b, result in zip(rows, results, strict=True):
            pictures[b].append(result)
    return [Edited(tuple(c), tuple(p[1:])) for c, p in zip(calls, pictures, strict=True)]


def call_seed(seed: int, sample_id: str, k: int) -> int:
    """A seed in [0, 2^31) for the k-th call of a sample: the same in any batch, process and Python version."""
    digest = hashlib.sha256(f"{seed}\0{sample_id}\0{k}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


__all__ = ["Call", "Edited", "EditingAgent", "call_seed", "execute"]
