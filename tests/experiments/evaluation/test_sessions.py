"""The numbers of played sessions, worked by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from experiments.evaluation.sessions import arms, gains, session_results, values
from experiments.reports.run.sessions import print_sessions

# following, consistency and awareness of the turns of three sessions of two turns
SCORES: dict[str, list[list[tuple[float, float, float]]]] = {
    "raw": [[(1, 0.9, 1), (0, 0.8, 0)], [(0, 0.9, 0), (0, 0.9, 0)], [(1, 1.0, 1), (0, 0.4, 0)]],
    "edit_r2": [[(1, 0.9, 1), (1, 0.8, 1)], [(0, 0.9, 0), (1, 0.9, 0)], [(1, 1.0, 1), (1, 0.4, 1)]],
}


def rows(length: int = 2) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm, "length": length, "i": i, "id": f"s{i}", "kind": ("cm", "cu", "cm")[i], "turn": k + 1, "request": "r",
            "instruction": "r", "fallback": "" if i else "nothing", "valid": True, "reason": "",
            "scores": dict(zip(("if", "cc", "ga"), scores, strict=True)),
        }
        for arm, sessions in SCORES.items() for i, turns in enumerate(sessions) for k, scores in enumerate(turns)
    ]  # fmt: skip


def test_by_turn_and_arm() -> None:
    part = session_results(rows())
    assert part["ga_last_turn"] == {"raw": 0.0, "edit_r2": pytest.approx(200 / 3)}
    assert part["if_by_turn"]["raw"] == [pytest.approx(200 / 3), 0.0]
    assert part["cc_by_turn"]["edit_r2"] == [pytest.approx(280 / 3), pytest.approx(210 / 3)]
    assert part["gain"]["raw"]["value"] == pytest.approx(200 / 3) and set(part["gain"]) == {"raw"}
    assert part["fallback"] == {"raw": pytest.approx(1 / 3), "edit_r2": pytest.approx(1 / 3)}
    assert part["n"] == {"raw": 3, "edit_r2": 3} and set(part["by_length"]) == {"2"}


def test_what_looks_back_over_turns() -> None:
    own = session_results(rows())["measures"]["edit_r2"]
    assert own["if_so_far"]["2"]["value"] == pytest.approx(200 / 3)
    assert own["overall"]["2"]["value"] == pytest.approx(100 * math.sqrt(2 / 3 * 0.7))
    assert own["success"]["2"]["value"] == pytest.approx(100 / 3)  # the third session is not consistent at its end
    cm = session_results(rows())["by_category"]["cm"]["edit_r2"]
    assert cm["n"] == 2 and cm["ga"]["2"]["value"] == 100.0


def test_lengths_apart_and_an_invalid_verdict_left_out() -> None:
    both = [*rows(2), *rows(3)]
    both[0] |= {"valid": False, "scores": {}, "reason": "no answer"}
    part = session_results(both)
    assert set(part["by_length"]) == {"2", "3"} and part["by_length"]["3"]["n"]["raw"] == 3
    assert values(both, "raw", 2, 1, "if") == [None, 0.0, 100.0]
    assert part["by_length"]["2"]["if_by_turn"]["raw"][0] == 50.0


def test_arms_in_the_order_of_the_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert arms(rows()) == ["raw", "edit_r2"] and gains([r for r in rows() if r["arm"] == "raw"], 2) == {}
    assert session_results([]) == {}
    print_sessions({"sessions": session_results(rows())})
    shown = capsys.readouterr().out
    assert "3 held-out sessions of 2 turns" in shown and "66.7" in shown
    print_sessions({})
