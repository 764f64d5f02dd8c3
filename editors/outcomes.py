"""What became of a batch of edits, picture or not, so that nothing already paid for is lost to one failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from common.errors import RunFailed


@dataclass(frozen=True)
class Outcome:
    """What became of one edit. `image` is None where a content filter `refused` it or it failed for good; `reason` says
    why, "" otherwise. `tries`: requests made now, 0 where the answer was `cached`. `stretch`: by how much the reply's
    aspect ratio differed from what was sent (0.02: 2 %); the whole picture is scaled to fit, nothing is cropped."""

    image: Image.Image | None
    refused: bool
    reason: str
    tries: int
    cached: bool
    stretch: float = 0.0


class EditsFailed(RunFailed):
    """Some edits of a batch have no picture. Raised when all are done: `outcomes` has one per item, in order, and the
    pictures among them are in the cache too, so that a rerun asks only for the failed ones."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = list(outcomes)
        failed = {i: o for i, o in enumerate(self.outcomes) if o.image is None}
        refused = sum(o.refused for o in failed.values())
        lines = [f"  - item {i} ({'refused' if o.refused else 'failed'}): {o.reason}" for i, o in failed.items()]
        more = [f"  - and {len(lines) - 20} more"] if len(lines) > 20 else []
        super().__init__(
            f"{len(failed)} of {len(self.outcomes)} edits have no picture: {refused} refused by the content filter, "
            f"{len(failed) - refused} failed; the other {len(self.outcomes) - len(failed)} are kept in the cache. Run again "
            "to ask for the failed ones; a refused one needs another instruction, picture or seed.\n"
            + "\n".join(lines[:20] + more)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.outcomes,)


__all__ = ["EditsFailed", "Outcome"]
