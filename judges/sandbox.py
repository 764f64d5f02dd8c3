"""The sandbox's judge: sees the pictures before and after and the wanted edits, nothing else.

It perceives the scene in `before`, applies the edits, and compares the target's pixels with `after`:

* request_fulfilled = 10 * mean over the edits of the progress made on the pixels that each changes (`fulfilment.py`);
* content_preserved = 10 * how much of every thing and of the background that no edit touches is still there
  (`preservation.py`);
* image_quality = 10 * sharpness * freedom from noise * freedom from specks, of `after` by itself (`quality.py`);
* overall = the geometric mean of the three, so that nothing fulfilled is worth nothing.

Where an edit leaves a choice (add without a place, "left of the tree" with several free cells) the choice nearest to
`after` is the target. A result of another size than `before` is valid: it is resized for measuring; `reason` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.base import Edit, EditSample
from benchmarks.sandbox.perceive import Perception
from benchmarks.sandbox.scene import CELL_NAMES
from common.errors import BadInput
from judges.base import ASPECTS, OVERALL, Verdict
from judges.fulfilment import credits, fulfilled
from judges.pixels import square
from judges.preservation import preserved
from judges.quality import quality
from judges.question import Usage
from judges.seeing import FOREIGN, perceived
from judges.targets import hypotheses

MAX_SIDE = 1024


class SandboxJudge:
    """A `judges.base.Judge` that measures pixels against the gold edits: deterministic, without a model and without costs."""

    concurrency = 1
    usage = Usage()

    def judge(self, before: Image.Image, after: Image.Image, wanted: EditSample | Sequence[Edit]) -> Verdict:
        """The verdict on `after`. Invalid where `before` is no sandbox picture, a picture cannot be decoded, or the
        edits are impossible on what `before` shows; never raises for a picture."""
        gold = tuple(wanted.gold if isinstance(wanted, EditSample) else wanted)
        if not gold:
            return Verdict.invalid("there are no wanted edits to judge by")
        side = side_for(before.size)
        try:
            given = square(before, side)
        except (OSError, ValueError) as error:
            return Verdict.invalid(f"the picture before cannot be read: {error}")
        try:
            result = square(after, side)
        except (OSError, ValueError) as error:
            return Verdict.invalid(f"the picture after cannot be read: {error}")
        seen = perceived(given)
        if seen.error > FOREIGN:
            return Verdict.invalid(f"the picture before shows no sandbox scene (mean pixel error {seen.error:.1f})")
        try:
            return self._judge(seen, given, result, gold, _size_note(before, after))
        except BadInput as error:
            return Verdict.invalid(f"the wanted edits are impossible on the picture before: {error}")

    def _judge(
        self, seen: Perception, given: np.ndarray, after: np.ndarray, gold: Sequence[Edit], note: str
    ) -> Verdict:
        targets = hypotheses(seen.scene, given, gold, after)
        done = targets.done_in(after)
        edit_credits = credits(targets, done, after)
        kept, clean = preserved(targets, done, edit_credits, after), quality(after)
        values = (fulfilled(edit_credits), kept.score, clean.score)
        scores = {aspect: round(min(10.0, max(0.0, v)), 4) for aspect, v in zip(ASPECTS, values, strict=True)}
        scores[OVERALL] = round(float(np.prod(list(scores.values()))) ** (1 / 3), 4)
        raw: dict[str, Any] = {
            "edits": [
                {"action": e.action, "subject": e.subject, "goal": e.goal, "credit": c.credit, "done": c.done}
                for e, c in zip(gold, edit_credits, strict=True)
            ],
            "places": {str(k): CELL_NAMES[cell] for k, cell in targets.cells.items()},
            "things_kept": {name: round(v, 4) for name, v in kept.things.items()},
            "background_kept": None if kept.background is None else round(kept.background, 4),
            "quality": {name: round(v, 4) for name, v in vars(clean).items()},
            "perception_error": round(seen.error, 4),
        }
        return Verdict(scores, True, note, raw)


def side_for(size: tuple[int, int]) -> int:
    """The side at which a picture of (width, height) is measured: its own where the world can be drawn so, else 64."""
    width, height = size
    return width if width == height and width % 64 == 0 and 64 <= width <= MAX_SIDE else 64


def _size_note(before: Image.Image, after: Image.Image) -> str:
    if before.size == after.size:
        return ""
    sizes = ["x".join(map(str, image.size)) for image in (after, before)]
    return f"the result is {sizes[0]} instead of {sizes[1]} pixels; it was resized for measuring"


__all__ = ["SandboxJudge", "side_for"]
