"""Verdicts on sessions as rows, as verdicts again, and as tables by turn and kind."""

from __future__ import annotations

import pytest

from experiments.evaluation.listing import Listed
from experiments.evaluation.session_scores import as_row_scores, as_verdict, session_scores, verdicts_by_session
from judges.base import Verdict


def listed(unit: int, turn: int, kind: str) -> Listed:
    return Listed((unit, turn), f"{unit}-{turn}", "say", kind, str(unit), (kind,))


def row(valid: bool = True, **scores: float) -> dict[str, object]:
    return {"scores": as_row_scores(scores) if valid else {}, "valid": valid, "reason": "" if valid else "down"}


ITEMS = [listed(u, t, kind) for u, kind in enumerate(("cm", "cu", "cu")) for t in range(2)]
ROWS = {
    (0, 0): row(**{"if": 1.0, "cc": 0.5, "ga": 1.0}),
    (0, 1): row(**{"if": 0.0, "cc": 0.5, "ga": 0.25}),
    (1, 0): row(**{"if": 0.5, "ga": 0.5}),
    (1, 1): row(valid=False),
    (2, 0): row(**{"if": 1.0, "cc": 1.0, "ga": 1.0}),  # the second turn of this session is still missing
}


def test_rows_have_scores_up_to_10_and_an_overall_by_edit_r2s_weights() -> None:
    scores = as_row_scores({"if": 1.0, "cc": 0.5, "ga": 0.25})
    assert scores == {"overall": pytest.approx(5.5), "if": 10.0, "cc": 5.0, "ga": 2.5}
    assert as_row_scores({"if": 1.0, "ga": 0.0})["overall"] == pytest.approx(10 * 0.3 / 0.7)
    assert as_row_scores({}) == {}


def test_a_row_is_the_verdict_again() -> None:
    assert as_verdict(ROWS[0, 1]) == Verdict({"if": 0.0, "cc": 0.5, "ga": 0.25})
    assert as_verdict(ROWS[1, 1]) == Verdict.invalid("down")


def test_only_whole_sessions_are_measured() -> None:
    sessions = verdicts_by_session(ITEMS, ROWS)  # type: ignore[arg-type]
    assert [len(s) for s in sessions] == [2, 2]
    assert [s[0].scores["if"] for s in sessions] == [1.0, 0.5]


def test_tables_by_turn_and_kind_are_in_percent_and_count_what_is_invalid() -> None:
    table = session_scores(ITEMS, ROWS)  # type: ignore[arg-type]
    assert set(table) == {"all", "cm", "cu"} and [table[k]["n"] for k in ("all", "cm", "cu")] == [2, 1, 1]
    assert table["all"]["if"]["1"]["value"] == 75.0 and table["all"]["ga"]["2"]["value"] == 25.0
    assert table["all"]["if"]["2"]["invalid"] == 1
    assert table["all"]["cc"]["1"]["value"] == 50.0 and table["all"]["cc"]["1"]["n"] == 1  # the other one has none
