"""The scores of judged sessions: as verdicts' rows hold them, as verdicts again, and as the tables of sessions show them.

Rows hold every judge's scores from 0 to 10, with an overall; judges of sessions give IF, CC and GA from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from common.cells import Cell
from experiments.evaluation.layout import Key
from experiments.evaluation.listing import Listed
from experiments.evaluation.rows import Row
from judges.base import OVERALL, Verdict
from judges.rubrics.mice import WEIGHTS
from judges.sessions.base import SESSION_SCORES
from judges.sessions.measures import MEASURES, by_turn

TOP = 10.0  # of a row's scores
PERCENT = 100.0
EVERY = "all"


def as_row_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores from 0 to 10, and `overall` by the weights of Edit-R2's training reward (arXiv 2606.05950): .3 IF + .3 CC + .4 GA,
    over those that there are."""
    if not scores:
        return {}
    share = sum(WEIGHTS[name] for name in scores)
    overall = sum(WEIGHTS[name] * value for name, value in scores.items()) / share
    return {OVERALL: TOP * overall, **{name: TOP * value for name, value in scores.items()}}


def as_verdict(row: Row) -> Verdict:
    """The verdict of a judge of sessions that a row was made of, from 0 to 1."""
    scores = {name: row["scores"][name] / TOP for name in SESSION_SCORES if name in row["scores"]}
    return Verdict(scores, row["valid"], row["reason"])


def verdicts_by_session(items: Sequence[Listed], rows: Mapping[Key, Row]) -> list[list[Verdict]]:
    """Of each session whose turns all have a row, the verdicts on its turns in order."""
    sessions: dict[int, list[Key]] = {}
    for item in items:
        sessions.setdefault(item.key[0], []).append(item.key)
    return [[as_verdict(rows[k]) for k in keys] for keys in sessions.values() if all(k in rows for k in keys)]


def session_scores(items: Sequence[Listed], rows: Mapping[Key, Row]) -> dict[str, Any]:
    """What results.json says of the sessions of one arm, of all and of each kind: {kind: {"n": sessions, "if": {"1": cell, ...},
    ...}} with cells in percent, by turn (from 1)."""
    kinds = sorted({item.kind for item in items})
    parts = {EVERY: list(items)} | ({k: [i for i in items if i.kind == k] for k in kinds} if len(kinds) > 1 else {})
    return {kind: measures(verdicts_by_session(part, rows)) for kind, part in parts.items()}


def measures(sessions: Sequence[Sequence[Verdict]]) -> dict[str, Any]:
    """Of judged sessions, in percent by turn (from 1): IF, CC and GA, EdiVal's cumulative IF and O, and SR@k
    (judges/sessions/measures.py)."""
    turns = by_turn(sessions)
    cells = {name: {str(k + 1): percent(own[name]).as_dict() for k, own in enumerate(turns)} for name in MEASURES}
    return {"n": len(sessions), **cells}


def percent(cell: Cell) -> Cell:
    """A share as percent."""
    value, low, high = (None if x is None else PERCENT * x for x in (cell.value, cell.low, cell.high))
    return replace(cell, value=value, low=low, high=high)


__all__ = ["as_row_scores", "as_verdict", "measures", "percent", "session_scores", "verdicts_by_session"]
