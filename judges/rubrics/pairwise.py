"""`pairwise`: which of two edits of one picture is better. Not a Rubric: it takes two results and gives a winner.

After PSR's study (arXiv 2505.16181, figures A11 and A12): three verdicts, sides drawn at random; 8192 tokens there, 1024
here. Models prefer a side, so both orders are asked and the verdict is what both agree on:

    first better in both orders -> first      second in both -> second      tie in both -> tie
    anything else -> tie, and the pair counts as inconsistent

`both_orders=False` asks one order only, drawn by seed and item id, as PSR did: half the calls, and no such check.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from common.ranges import SEED, Range
from judges.form import Form, OneOf, Words
from judges.prompt import load_prompt, version_of
from judges.question import Encoding, JudgeSampling, Question
from judges.rubrics.base import Answers, request_of

FIRST, SECOND, TIE = "first", "second", "tie"
AS_GIVEN, SWAPPED = "as_given", "swapped"  # questions: the first edit is shown as A | as B
_FORM = Form({"reasoning": Words(), "better": OneOf(("A", "B", "tie"))})
_MEANS: Mapping[str, Mapping[str, str]] = {
    AS_GIVEN: {"A": FIRST, "B": SECOND, "tie": TIE},
    SWAPPED: {"A": SECOND, "B": FIRST, "tie": TIE},
}
_VALUE = {FIRST: 1.0, TIE: 0.5, SECOND: 0.0}


@dataclass(frozen=True)
class PairVerdict:
    """`winner` is first, second or tie. `sides` holds what was answered in each order, as A, B or tie."""

    winner: str
    consistent: bool
    sides: Mapping[str, str]

    @property
    def value(self) -> float:
        """1 where the first edit won, 0 where the second did, 0.5 for a tie."""
        return _VALUE[self.winner]

    @property
    def favoured_side(self) -> str:
        """A or B where both orders preferred the same side, whatever was shown there; else empty."""
        answers = set(self.sides.values())
        return answers.pop() if len(self.sides) == 2 and len(answers) == 1 and TIE not in answers else ""


class PairRubric:
    """Questions on two edits of one picture, and the verdict their answers make."""

    name = "pairwise"
    sampling = JudgeSampling(temperature=0.0)
    repeats = 1

    def __init__(self, seed: Annotated[int, Range(0, SEED)] = 0, both_orders: bool = True) -> None:
        self.seed = seed
        self.both_orders = both_orders
        self._prompt = load_prompt("pairwise_compare", ("request",))
        self.version = version_of([self._prompt])

    def order(self, item: EditSample) -> tuple[str, ...]:
        """Names of the questions in the order they are asked, which depends on the seed and the item's id alone."""
        drawn = hashlib.sha256(f"{self.seed}|{item.id}".encode("utf-8", "surrogatepass")).digest()[0] & 1
        orders = (SWAPPED, AS_GIVEN) if drawn else (AS_GIVEN, SWAPPED)
        return orders if self.both_orders else orders[:1]

    def questions(
        self, item: EditSample, before: Image.Image, first: Image.Image, second: Image.Image
    ) -> Sequence[Question]:
        """One question per order. Raises BadInput for an empty request."""
        text = self._prompt.fill(request=request_of(item))
        shown = {AS_GIVEN: (first, second), SWAPPED: (second, first)}
        return tuple(
            Question(
                name,
                (text, "Original:", before, "Result A:", shown[name][0], "Result B:", shown[name][1]),
                _FORM.read,
                schema=_FORM.schema,
                encoding=Encoding(),
            )
            for name in self.order(item)
        )

    def verdict(self, answers: Answers, item: EditSample) -> PairVerdict:
        """What the answers of one pass come to."""
        sides = {name: str(answers[name]["better"]) for name in self.order(item)}
        winners = {_MEANS[name][side] for name, side in sides.items()}
        return PairVerdict(winners.pop() if len(winners) == 1 else TIE, not winners, sides)

    def combine(self, passes: Sequence[PairVerdict]) -> PairVerdict:
        """The winner of more than half of the passes, else a tie; consistent where every pass is and says the same."""
        if not passes:
            raise BadInput("there is no pass to combine")
        winner, votes = Counter(p.winner for p in passes).most_common(1)[0]
        same = votes == len(passes) and all(p.consistent for p in passes)
        return PairVerdict(winner if 2 * votes > len(passes) else TIE, same, passes[0].sides)


__all__ = ["AS_GIVEN", "FIRST", "SECOND", "SWAPPED", "TIE", "PairRubric", "PairVerdict"]
