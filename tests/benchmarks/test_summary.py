"""Micro, macro, per-item overalls, accuracies and turns, against numbers worked by hand."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.errors import BadInput
from benchmarks.summary import (
    Row,
    gedit_overall,
    item_mean,
    last_turns,
    rise_accuracy,
    rise_percent,
    summarise,
)


def test_macro_and_micro_differ_where_kinds_are_unequal():
    rows = [Row("text", {"overall": 2.0})] * 3 + [Row("style", {"overall": 6.0}), Row("tone", invalid="refused")]
    (summary,) = summarise(rows)["all"].values()
    # micro: (2 + 2 + 2 + 6) / 4 = 3; macro: text 2, style 6, tone has no valid row -> (2 + 6) / 2 = 4
    assert (summary.micro, summary.macro) == (3.0, 4.0)
    assert (summary.n, summary.invalid, summary.left_out) == (4, 1, ("tone",))
    assert {k: (m.value, m.n, m.invalid) for k, m in summary.by_kind.items()} == {
        "text": (2.0, 3, 0),
        "style": (6.0, 1, 0),
        "tone": (None, 0, 1),
    }
    assert (summary.own("micro"), summary.own("macro"), summary.own("final")) == (3.0, 4.0, None)
    assert summary.values == (("text", 2.0), ("text", 2.0), ("text", 2.0), ("style", 6.0))
    assert json.loads(json.dumps(summary.to_json()))["by_kind"]["tone"] == {"value": None, "n": 0, "invalid": 1}


def test_overall_is_taken_per_item_before_any_mean():
    rows = [
        Row("text_change", {"sc": 9.0, "pq": 1.0}),  # O = sqrt(9 * 1) = 3
        Row("text_change", {"sc": 1.0, "pq": 9.0}),  # O = 3
        Row("ps_human", {"sc": 4.0, "pq": 4.0}),  # O = 4
    ]
    scores = summarise(rows, gedit_overall)["all"]
    # by kind: SC (5, 4), PQ (5, 4), O (3, 4). macro: SC 4.5, PQ 4.5, O 3.5; sqrt(4.5 * 4.5) = 4.5 would be wrong
    assert (scores["sc"].macro, scores["pq"].macro, scores["overall"].macro) == (4.5, 4.5, 3.5)
    assert scores["overall"].micro == pytest.approx(10 / 3)  # (3 + 3 + 4) / 3
    assert scores["sc"].micro == pytest.approx(14 / 3)


def test_gedit_subsets_are_reported_apart():
    rows = [
        Row("text_change", {"sc": 8.0, "pq": 8.0}, ("en/full", "en/intersection")),
        Row("text_change", {"sc": 2.0, "pq": 2.0}, ("en/full",)),
        Row("text_change", {"sc": 6.0, "pq": 6.0}, ("cn/full", "cn/intersection")),
        Row("ps_human", invalid="refused", subsets=("cn/full",)),
    ]
    parts = summarise(rows, gedit_overall)
    assert {s: (p["overall"].macro, p["overall"].n, p["overall"].invalid) for s, p in parts.items()} == {
        "en/full": (5.0, 2, 0),
        "en/intersection": (8.0, 1, 0),
        "cn/full": (6.0, 1, 1),
        "cn/intersection": (6.0, 1, 0),
    }


def test_imgedit_is_the_mean_over_types_of_item_means():
    names = ("compliance", "naturalness", "integrity")
    rows = [
        Row("add", dict(zip(names, (5, 4, 3), strict=True))),  # 4
        Row("add", dict(zip(names, (3, 2, 1), strict=True))),  # 2
        Row("compose", dict(zip(names, (5, 5, 5), strict=True))),  # 5
    ]
    overall = summarise(rows, lambda row: item_mean(row, names))["all"]["overall"]
    # types: add (4 + 2) / 2 = 3, compose 5; over types (3 + 5) / 2 = 4; over items (4 + 2 + 5) / 3 = 11 / 3
    assert overall.macro == 4.0 and overall.micro == pytest.approx(11 / 3)


def test_complex_edit_goes_by_complexity():
    rows = [Row("real", {"overall": float(10 - c)}, ("all", f"c{c}")) for c in range(1, 9)]
    parts = summarise(rows)
    assert [parts[f"c{c}"]["overall"].micro for c in range(1, 9)] == [9, 8, 7, 6, 5, 4, 3, 2]
    assert parts["all"]["overall"].micro == 5.5


RISE = ("consistency", "reasoning", "plausibility")


def test_rise_accuracy_needs_fives_in_what_applies_only():
    rows = [
        Row("temporal", dict(zip(RISE, (5, 5, 5), strict=True))),  # 1
        Row("temporal", dict(zip(RISE, (5, 5, 4), strict=True))),  # 0
        Row("causal", {"reasoning": 5, "plausibility": 5}),  # consistency_free: 1
        Row("logical", {"consistency": 5, "reasoning": 5}),  # no plausibility: 1
        Row("logical", {"consistency": 5, "reasoning": 1}),  # 0
        Row("spatial", invalid="no connection"),
    ]
    scores = summarise(rows, lambda row: rise_accuracy(row, RISE))["all"]
    accuracy = scores["accuracy"]
    # 3 of 5 valid items; kinds: temporal 1/2, causal 1, logical 1/2, spatial none -> macro (0.5 + 1 + 0.5) / 3
    assert accuracy.micro == 0.6 and accuracy.macro == pytest.approx(2 / 3)
    assert (accuracy.n, accuracy.invalid, accuracy.left_out) == (5, 1, ("spatial",))
    # a score that does not apply everywhere goes over the items that have it: plausibility (5 + 4 + 5) / 3
    assert scores["plausibility"].n == 3 and scores["plausibility"].micro == pytest.approx(14 / 3)
    assert scores["plausibility"].left_out == ("logical", "spatial")
    assert [rise_percent(s) for s in (1, 3, 5)] == [0, 50, 100]


def turns(session: str, *values: float | None, kind: str = "cm") -> list[Row]:
    return [
        Row(kind, {} if v is None else {"overall": v}, ("all", kind), session, k, "refused" if v is None else "")
        for k, v in enumerate(values)
    ]


def test_turns_and_final_turns_of_sessions():
    rows = turns("a", 9, 6, 3) + turns("b", 7, None, 1) + turns("c", 8, 4, None, kind="cu")
    parts = summarise(rows)
    overall = parts["all"]["overall"]
    # turn 0: (9 + 7 + 8) / 3 = 8; turn 1: (6 + 4) / 2 = 5; turn 2: (3 + 1) / 2 = 2
    assert {t: (m.value, m.n, m.invalid) for t, m in overall.by_turn.items()} == {
        0: (8.0, 3, 0),
        1: (5.0, 2, 1),
        2: (2.0, 2, 1),
    }
    # c ends invalid: its second turn does not stand in for it
    assert overall.final is not None and (overall.final.value, overall.final.n, overall.final.invalid) == (2.0, 2, 1)
    assert overall.own("final") == 2.0
    assert {t: m.value for t, m in parts["cu"]["overall"].by_turn.items()} == {0: 8.0, 1: 4.0, 2: None}
    assert overall.units == ("a", "a", "a", "b", "b", "c", "c")  # what is resampled together
    assert [(r.session, r.turn) for r in last_turns(reversed(rows))] == [("c", 2), ("b", 2), ("a", 2)]


def test_sessions_of_different_length_end_where_they_end():
    overall = summarise(turns("a", 2, 4) + turns("b", 10) + turns("c", 1, 1, 6))["all"]["overall"]
    assert overall.final is not None and overall.final.value == pytest.approx(20 / 3)  # (4 + 10 + 6) / 3


def test_nothing_valid_has_no_mean():
    overall = summarise([Row("a", invalid="x"), Row("b", invalid="y")])["all"]["overall"]
    assert (overall.micro, overall.macro, overall.n, overall.invalid) == (None, None, 0, 2)
    assert overall.left_out == ("a", "b") and overall.final is None and overall.values == ()
    assert summarise([]) == {}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (Row("a", id="7"), "row '7'.*either scores or the reason"),
        (Row("a", {"overall": 1.0}, invalid="why"), "either scores or the reason"),
        (Row("a", {"overall": math.nan}), "'overall' is nan"),
        (Row("a", {"overall": math.inf}), "finite"),
        (Row("a", {"overall": True}), "True"),
    ],
)
def test_a_row_that_cannot_be_counted_is_refused(row, says):
    with pytest.raises(BadInput, match=says):
        summarise([row])


def test_formulas_say_what_is_missing():
    with pytest.raises(BadInput, match="no score 'pq'; it has sc"):
        summarise([Row("a", {"sc": 1.0})], gedit_overall)
    with pytest.raises(BadInput, match="-1"):
        summarise([Row("a", {"sc": -1.0, "pq": 1.0})], gedit_overall)
    with pytest.raises(BadInput, match="none of the scores x, y"):
        rise_accuracy(Row("a", {"z": 5}), ("x", "y"))
    with pytest.raises(BadInput, match="micro, macro or final"):
        summarise([Row("a", {"overall": 1.0})])["all"]["overall"].own("median")


value = st.floats(0, 10)


@given(st.dictionaries(st.sampled_from("abcde"), st.lists(value, min_size=1, max_size=6), min_size=1))
def test_means_lie_within_and_do_not_depend_on_order(groups):
    rows = [Row(kind, {"overall": v}) for kind, values in groups.items() for v in values]
    overall = summarise(rows)["all"]["overall"]
    back = summarise(reversed(rows))["all"]["overall"]
    low, high = min(v for _, v in overall.values), max(v for _, v in overall.values)
    for mean in ("micro", "macro"):
        assert low - 1e-9 <= overall.own(mean) <= high + 1e-9
        assert overall.own(mean) == pytest.approx(back.own(mean))
    if len({len(v) for v in groups.values()}) == 1:  # equal sizes: both means are the same
        assert overall.micro == pytest.approx(overall.macro)


@given(st.lists(st.tuples(value, value), min_size=1, max_size=8))
def test_mean_of_overalls_never_exceeds_the_overall_of_means(pairs):
    scores = summarise([Row("a", {"sc": s, "pq": p}) for s, p in pairs], gedit_overall)["all"]
    # Cauchy-Schwarz: mean of sqrt(s p) <= sqrt(mean s * mean p)
    assert scores["overall"].micro <= math.sqrt(scores["sc"].micro * scores["pq"].micro) + 1e-9
