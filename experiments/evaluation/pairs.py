"""How well reward models order pairs of edits: the share in the right order, and the paired gain of one model over another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from common.cells import Cell
from common.statistics import Difference, holm_adjusted, micro, paired

GAINS = (("gcpo", "sft"), ("sft", "holistic"), ("sft", "sft_think"), ("sft", "sft_verify"))


@dataclass(frozen=True)
class PairRow:
    """A model's scores of one pair; None: unreadable. `said`: the same two as its traces say them, where the scores are expected
    ones."""

    model: str
    sample: str
    preferred: float | None
    other: float | None
    said: Sequence[float | None] | None = None

    @property
    def right(self) -> float:
        """1 where the preferred edit scores strictly higher (arXiv 2604.27505, section 5); an unreadable score is wrong."""
        return float(self.preferred is not None and self.other is not None and self.preferred > self.other)

    @property
    def tied(self) -> bool:
        return self.preferred is not None and self.preferred == self.other

    def by_said(self) -> PairRow | None:
        """The row of the scores that the traces say."""
        if self.said is None:
            return None
        preferred, other = self.said
        return PairRow(self.model, self.sample, preferred, other)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def accuracy(rows: Sequence[PairRow]) -> Cell:
    """Pairs of one sample are drawn together for the interval."""
    return micro([row.right for row in rows], clusters=[row.sample for row in rows])


def gain(first: Sequence[PairRow], second: Sequence[PairRow]) -> Difference:
    """Of `first` over `second` on the same pairs."""
    return paired([r.right for r in second], [r.right for r in first], clusters=[r.sample for r in first])


def gains_of(by_model: Mapping[str, Sequence[PairRow]]) -> dict[tuple[str, str], Difference]:
    """What is compared of the models that are there; the p-values are corrected as one family."""
    there = [(a, b) for a, b in GAINS if a in by_model and b in by_model]
    return dict(zip(there, holm_adjusted([gain(by_model[a], by_model[b]) for a, b in there]), strict=True))


def by_said(rows: Sequence[PairRow]) -> list[PairRow]:
    return [own for row in rows if (own := row.by_said()) is not None]


def accuracies(rows: Sequence[PairRow]) -> dict[str, Any]:
    """The section `rrm` of results.json: by the scores, and under "said" by those that the traces say, where these are others."""
    said = by_said(rows)
    return _accuracies(rows) | ({"said": _accuracies(said)} if said else {})


def _accuracies(rows: Sequence[PairRow]) -> dict[str, Any]:
    by_model: dict[str, list[PairRow]] = {}
    for row in rows:
        by_model.setdefault(row.model, []).append(row)
    cells = {name: accuracy(own) for name, own in by_model.items()}
    gains = {f"{a}-{b}": d for (a, b), d in gains_of(by_model).items()}
    return {
        "pair_accuracy": {name: cell.value for name, cell in cells.items()},
        "pair_accuracy_cells": {name: cell.as_dict() for name, cell in cells.items()},
        "pair_gain": {name: d.as_dict() for name, d in gains.items()},
        "pairs": {name: len(own) for name, own in by_model.items()},
        "tied": {name: sum(r.tied for r in own) for name, own in by_model.items()},
        "unreadable": {
            name: sum((r.preferred is None) + (r.other is None) for r in own) for name, own in by_model.items()
        },
    }


__all__ = ["GAINS", "PairRow", "accuracies", "accuracy", "by_said", "gain", "gains_of"]
