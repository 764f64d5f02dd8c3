"""Means and differences over the rows of a run, as its tables and its page show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.cells import Cell
from common.statistics import Difference, holm_adjusted, mean, paired
from experiments.evaluation.equal_calls import calls_made
from experiments.evaluation.means import row_f1
from experiments.evaluation.names import COMPONENTS, MEAN_OF, WHEN
from experiments.runs.results import Evaluation, Row

COMPARED = (  # arms whose difference in overall is shown: the first minus the second
    ("agents_rl", "agents"),
    ("agents_rl", "editor"),
    ("agents_rl", "editor_chance"),
    ("agents_rl", "editor_best"),
    ("agents", "editor"),
)


def aspects(rows: Sequence[Row]) -> list[str]:
    """Overall first, then the judge's aspects in its own order."""
    first = next((r for r in rows if r["valid"]), None)
    return [] if first is None else ["overall", *(a for a in first["scores"] if a != "overall")]


def scores(rows: Sequence[Row], aspect: str) -> list[float | None]:
    """One value per sample in order; None where the verdict is invalid, so that arms stay paired."""
    return [r["scores"].get(aspect) if r.get("valid", True) else None for r in rows]


def mean_of(rows: Sequence[Row], aspect: str) -> Cell:
    return mean([x for x in scores(rows, aspect) if x is not None])


def mean_f1(rows: Sequence[Row]) -> list[float]:
    """Mean of action, subject and goal F1 of each sample."""
    return list(map(row_f1, rows))


def f1_cells(rows: Sequence[Row]) -> list[Cell]:
    """The mean F1, then every component's."""
    return [mean(mean_f1(rows), shares=True), *(mean([r["scores"][c] for r in rows], shares=True) for c in COMPONENTS)]


def differences(evaluation: Evaluation) -> list[tuple[str, str, Difference]]:
    """(arm, compared with, difference in overall) for those of COMPARED whose arms were run; their p-values are one family."""
    arms = evaluation.arms
    pairs = [(a, b) for a, b in COMPARED if arms.get(a) and arms.get(b)]
    gaps = [paired(scores(arms[b], "overall"), scores(arms[a], "overall")) for a, b in pairs]
    return [(a, b, gap) for (a, b), gap in zip(pairs, holm_adjusted(gaps), strict=True)]


def f1_change(before: Sequence[Row], after: Sequence[Row]) -> Difference:
    """The difference in mean F1, after − before, over the same samples. It is one question, so its p-value is corrected for
    nothing."""
    return holm_adjusted([paired(mean_f1(before), mean_f1(after))])[0]


def calls_note(evaluation: Evaluation) -> str:
    """What k is in the editor's k calls, or why there is no such arm; empty where there is nothing to say."""
    team = [calls_made(r) for r in evaluation.arms["agents_rl"]]
    k = [len(r["variants"]) for r in evaluation.calls]
    if not k:
        one = "the team used one call of the editor per sample: as many calls of the editor alone are the arm “editor alone”"
        return one if team and max(team) == 1 else ""
    what = (
        f"as many as the team after RL made on the sample, {sum(k) / len(k):.1f} on average" if k == team else str(k[0])
    )
    return (
        f"k calls of the editor alone on the raw request: {what}; by chance is one of them picked at random, best by the judge "
        "is picked by the judge that also scores it, so it is an upper bound"
    )


def decomposition_rows(rows: Mapping[str, Sequence[Row]]) -> list[tuple[str, list[Row]]]:
    """(label, rows) before and after RL, and each category's where there are cm and cu."""
    labelled: list[tuple[str, list[Row]]] = [(f"{w} RL", list(rows[w])) for w in WHEN if rows[w]]
    kinds = sorted({r["kind"] for w in WHEN for r in rows[w]} & {"cm", "cu"})
    return labelled + [(f"{w} RL, {k}", [r for r in rows[w] if r["kind"] == k]) for k in kinds for w in WHEN if rows[w]]


__all__ = [
    "MEAN_OF",
    "aspects",
    "calls_note",
    "decomposition_rows",
    "differences",
    "f1_cells",
    "f1_change",
    "mean_f1",
    "mean_of",
    "scores",
]
