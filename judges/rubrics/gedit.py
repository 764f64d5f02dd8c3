"""`gedit`: VIEScore as GEdit-Bench runs it (arXiv 2504.17761; stepfun-ai/Step1X-Edit@570eba6, GEdit-Bench/).

The one difference from `viescore`: the edited picture is first resized to the source's size (Pillow's default filter,
bicubic), so that both questions see it so. There, "gpt4o" as a backbone really calls gpt-4.1. The table's O is the mean
over a task's items, then over the 11 tasks; that is done by whoever takes means, not here.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from benchmarks.base import EditSample
from common.pictures import to_rgb
from judges.question import Question
from judges.rubrics.viescore import VieScoreRubric


class GEditRubric(VieScoreRubric):
    name = "gedit"

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        same_size = after if after.size == before.size else to_rgb(after).resize(before.size)
        return super().questions(item, before, same_size)


__all__ = ["GEditRubric"]
