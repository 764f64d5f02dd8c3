"""Does a judge like some model's edits better than people do? (PSR, arXiv 2505.16181: every VLM judge preferred GPT-4o's.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from common.cells import Cell
from common.statistics import Difference, holm_adjusted, micro, paired
from judges.answers import JudgedPair
from judges.ties import SIGN


@dataclass(frozen=True)
class ModelShare:
    """How often one model's edits win their comparisons with other models' (a tie is half a win), by the judge and by people
    on the same comparisons. `excess` is judge − people with its p-value, corrected by Holm over the models."""

    model: str
    judge: Cell
    people: Cell
    excess: Difference

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "judge": self.judge.as_dict(),
            "people": self.people.as_dict(),
            "excess": self.excess.as_dict(),
        }


def model_shares(answers: Sequence[JudgedPair], seed: int = 0) -> list[ModelShare]:
    """One entry per model, the one with the largest excess first. Comparisons of a model with itself, and those without
    models' names, say nothing and are left out. Scores count as a tie only where they are equal: with fewer ties than
    people have, a judge's shares still add up to one half per comparison."""
    names = sorted({m for r in answers for m in r.models if m})
    shares = []
    for name in names:
        rows = [
            r if r.models[0] == name else r.swapped for r in answers if (r.models[0] == name) != (r.models[1] == name)
        ]
        rows = [r for r in rows if r.models[1]]
        if not rows:
            continue
        here = [r for r in rows if not r.missing]
        clusters, missing = [r.cluster for r in here], len(rows) - len(here)
        people = [None if r.margin is None else (1 + SIGN[r.human]) / 2 for r in here]
        judge = [None if r.margin is None else (1 + (r.margin > 0) - (r.margin < 0)) / 2 for r in here]
        by_judge, by_people = (
            micro(values, clusters=clusters, missing=missing, seed=seed) for values in (judge, people)
        )
        excess = paired(people, judge, clusters=clusters, missing=missing, seed=seed)
        shares.append(ModelShare(name, by_judge, by_people, excess))
    adjusted = holm_adjusted([s.excess for s in shares])
    out = [replace(share, excess=d) for share, d in zip(shares, adjusted, strict=True)]
    return sorted(out, key=lambda s: -(s.excess.cell.value or 0.0))


__all__ = ["ModelShare", "model_shares"]
