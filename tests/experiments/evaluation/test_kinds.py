"""Decompositions by kind: means, pass@k and paired changes against values by hand."""

from __future__ import annotations

from typing import Any

import pytest

from common.statistics import paired
from experiments.evaluation.kinds import MEASURES, OVER_PASS, kind_scores


def row(id_: str, kind: str, action: float, subject: float, goal: float, linked: float, exact: float) -> dict[str, Any]:
    scores = {"format": 1.0, "action": action, "subject": subject, "goal": goal, "linked": linked, "exact": exact}
    return {"id": id_, "kind": kind, "scores": scores}


BEFORE = [row("a", "direct", 1, 1, 1, 1, 1), row("b", "indirect", 1, 0, 1, 0, 0), row("c", "indirect", 1, 0.5, 0, 0, 0)]
AFTER = [
    row("a", "direct", 1, 1, 1, 1, 1),
    row("b", "indirect", 1, 1, 1, 1, 1),
    row("c", "indirect", 1, 0.5, 0.6, 0, 0),
]
DRAWN = [
    {"id": "a", "kind": "direct", "exact": [1.0, 1.0, 1.0, 0.0]},
    {"id": "b", "kind": "indirect", "exact": [1.0, 0.0, 0.0, 0.0]},
    {"id": "c", "kind": "indirect", "exact": [0.0, 0.0, 0.0, 0.0]},
]


def test_means_over_all_and_by_kind() -> None:
    scores = kind_scores({"before": BEFORE, "after": AFTER})
    assert scores["n"] == 3 and set(scores["by_kind"]) == {"direct", "indirect"}
    indirect = scores["by_kind"]["indirect"]
    assert indirect["n"] == 2
    assert indirect["before"] == {
        "format": 1, "action": 1, "subject": 0.25, "goal": 0.5, "linked": 0, "exact": 0
    }  # fmt: skip
    assert (indirect["after"]["linked"], indirect["after"]["exact"]) == (0.5, 0.5)
    assert scores["after"]["exact"] == pytest.approx(2 / 3)


def test_changes_are_paired_and_one_family() -> None:
    scores = kind_scores({"before": BEFORE, "after": AFTER}, DRAWN, 2)
    indirect = scores["by_kind"]["indirect"]["change"]
    assert list(indirect) == [*MEASURES, OVER_PASS]
    # b: 2/3 -> 1, c: 0.5 -> 0.7
    own = paired([2 / 3, 0.5], [1.0, 0.7])
    assert indirect["mean_f1"]["value"] == pytest.approx((1 / 3 + 0.2) / 2) == pytest.approx(own.cell.value)
    assert (indirect["mean_f1"]["low"], indirect["mean_f1"]["p"]) == pytest.approx((own.cell.low, own.p))
    assert indirect["subject"]["value"] == pytest.approx(0.5) and indirect["exact"]["value"] == pytest.approx(0.5)
    assert scores["by_kind"]["direct"]["change"]["linked"]["value"] == 0.0
    family = [c for part in (scores, *scores["by_kind"].values()) for c in part["change"].values()]
    least = min(c["p"] for c in family)
    assert min(c["p_holm"] for c in family) == pytest.approx(min(1.0, least * len(family)))


def test_pass_at_k_of_the_start_stands_beside_and_is_what_rl_is_compared_with() -> None:
    scores = kind_scores({"before": BEFORE, "after": AFTER}, DRAWN, 2)
    # of 4 answers: a has 3 right (every pair holds one), b has 1 (3 of 6 pairs), c none
    assert scores["before"]["pass1"] == pytest.approx((0.75 + 0.25 + 0) / 3)
    assert scores["before"]["pass2"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert scores["by_kind"]["indirect"]["before"]["pass2"] == pytest.approx(0.25)
    assert scores["by_kind"]["indirect"]["change"][OVER_PASS]["value"] == pytest.approx((0.5 + 0) / 2)
    assert "pass2" not in scores["after"]


def test_order_and_missing_samples_do_not_shift_the_pairs() -> None:
    mixed = kind_scores({"before": BEFORE[::-1], "after": AFTER[:2]})
    assert mixed["change"]["subject"]["n"] == 2
    assert mixed["change"]["subject"]["value"] == pytest.approx(0.5)


def test_items_of_one_session_are_drawn_together() -> None:
    rows = [row(str(i), "cm", 1, i % 2, 1, 0, 0) | {"cluster": f"s{i // 2}"} for i in range(8)]
    better = [r | {"scores": r["scores"] | {"subject": 1.0}} for r in rows]
    change = kind_scores({"before": rows, "after": better})["change"]["subject"]
    assert "clusters" in change["test"] and change["value"] == pytest.approx(0.5)


def test_one_decomposer_has_no_changes_and_one_kind_no_parts() -> None:
    alone = kind_scores({"before": BEFORE[1:]}, DRAWN[1:], 4)
    assert "change" not in alone and "by_kind" not in alone and alone["after"] == {}
    assert alone["before"]["pass4"] == pytest.approx(0.5)


def test_rows_of_an_earlier_version_have_no_exact_answers() -> None:
    old = [r | {"scores": {k: v for k, v in r["scores"].items() if k != "exact"}} for r in BEFORE]
    scores = kind_scores({"before": old, "after": old})
    assert "exact" not in scores["before"] and set(scores["change"]) == set(MEASURES) - {"exact"}
