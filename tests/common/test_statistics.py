"""Means, intervals, paired differences and corrections: by hand, by invariance, and by how often they cover the truth."""

from __future__ import annotations

import json
import math
import resource
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from common.cells import Cell
from common.errors import BadInput
from common.resampling import EXACT_UNITS, FLIPS, flip_p_value
from common.statistics import accuracy, holm, holm_adjusted, macro, micro, paired

VALUES = st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=2, max_size=30)


# ------------------------------------------------------------------------------------------------------------- means
def test_micro_and_macro_by_hand() -> None:
    values = [10.0, 10.0, 10.0, 10.0, 0.0, 5.0]
    kinds = ["a", "a", "a", "a", "b", "b"]
    assert micro(values).value == pytest.approx(45 / 6)
    assert macro(values, kinds).value == pytest.approx((10 + 2.5) / 2)  # a: 40 / 4, b: 5 / 2


def test_the_micro_mean_of_clusters_is_over_items_not_over_cluster_means() -> None:
    # session s has three turns (0, 0, 0), session t one (8): 8 / 4 = 2, and not (0 + 8) / 2
    assert micro([0.0, 0.0, 0.0, 8.0], clusters=["s", "s", "s", "t"]).value == 2.0


def test_invalid_values_are_left_out_and_counted_and_missing_ones_make_a_cell_partial() -> None:
    cell = micro([4.0, None, 6.0, None, None])
    assert (cell.value, cell.n, cell.invalid, cell.total) == (5.0, 2, 3, 5)
    part = micro([4.0, None, 6.0], missing=7)
    assert part.partial and part.text() == "partial (3 of 10)" and "5.0" not in part.text()
    assert part.as_dict()["partial"] is True and "partial" not in cell.as_dict()


def test_a_kind_without_valid_items_is_named() -> None:
    cell = macro([1.0, 3.0, 5.0, 7.0, None], ["a", "a", "b", "b", "text_change"])
    assert cell.value == 4.0 and "text_change" in cell.note and cell.text().startswith("4.00*")


def test_no_values_give_no_value_and_json_never_holds_nan() -> None:
    for cell in (micro([]), micro([None, None]), macro([None], ["a"]), accuracy([]), paired([None], [1.0]).cell):
        assert (cell.value, cell.low, cell.high, cell.n) == (None, None, None, 0)
        assert cell.text().startswith("–")
        assert json.loads(json.dumps(cell.as_dict(), allow_nan=False))["value"] is None
    with pytest.raises(BadInput, match="NaN"):
        micro([1.0, math.nan])
    with pytest.raises(BadInput, match="nan"):
        Cell(math.nan, None, None, 1)


def test_a_cell_survives_json() -> None:
    for cell in (micro([1.0, 2.0, None]), micro([1.0], missing=2), macro([1.0, None], ["a", "b"])):
        assert Cell.from_dict(json.loads(json.dumps(cell.as_dict()))) == cell


def test_one_item_has_no_interval() -> None:
    assert (micro([3.0]).value, micro([3.0]).low) == (3.0, None)
    assert micro([3.0, 4.0], clusters=["s", "s"]).low is None  # one session


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(BadInput, match="kinds has 1 entries for 2"):
        macro([1.0, 2.0], ["a"])
    with pytest.raises(BadInput, match="second"):
        paired([1.0, 2.0], [1.0])


# --------------------------------------------------------------------------------------------------------- intervals
@settings(max_examples=20, deadline=None)
@given(VALUES, st.randoms(use_true_random=False))
def test_the_same_rows_in_any_order_give_the_same_cell(values: list[float], random) -> None:  # type: ignore[no-untyped-def]
    rows = [(v, f"k{i % 3}", f"s{i // 2}", f"u{i}") for i, v in enumerate(values)]
    mixed = random.sample(rows, len(rows))
    for label in (2, 3):
        one, two = (macro([r[0] for r in x], [r[1] for r in x], clusters=[r[label] for r in x]) for x in (rows, mixed))
        assert (one.n, one.note) == (two.n, two.note)
        for a, b in zip((one.value, one.low, one.high), (two.value, two.low, two.high), strict=True):
            assert a == b or a == pytest.approx(b, abs=1e-9)
    assert micro([r[0] for r in rows]).low == micro([r[0] for r in mixed]).low


@settings(max_examples=20, deadline=None)
@given(VALUES, st.floats(0.5, 4), st.floats(-20, 20))
def test_intervals_move_with_the_values(values: list[float], scale: float, shift: float) -> None:
    a, b = micro(values), micro([scale * v + shift for v in values])
    assert (a.low is None) is (b.low is None) is (len(set(values)) == 1)
    if a.low is None or b.low is None or a.high is None or b.high is None:
        return
    assert b.low == pytest.approx(scale * a.low + shift, abs=1e-6)
    assert b.high == pytest.approx(scale * a.high + shift, abs=1e-6)
    assert a.low <= a.value + 1e-9 and a.value <= a.high + 1e-9  # type: ignore[operator]


def test_clusters_of_one_are_items_and_copies_in_a_cluster_add_no_certainty() -> None:
    values = list(np.random.default_rng(0).normal(size=40))
    assert micro(values, clusters=range(40)) == micro(values)
    copied = micro([v for v in values for _ in range(4)], clusters=[i for i in range(40) for _ in range(4)])
    plain = micro([v for v in values for _ in range(4)])
    once = micro(values)
    width = lambda c: c.high - c.low  # noqa: E731
    assert width(copied) == pytest.approx(width(once)) and width(plain) == pytest.approx(width(once) / 2, rel=0.2)


def test_stratified_intervals_leave_out_the_spread_between_kinds() -> None:
    """Two kinds, all 0 and all 10: drawing within kinds always gives 5, drawing over items does not."""
    values, kinds = [0.0] * 20 + [10.0] * 20, ["a"] * 20 + ["b"] * 20
    cell, over_items = macro(values, kinds), micro(values)
    assert (cell.low, cell.value, cell.high) == (None, 5.0, None) and "all 40 values are alike" in cell.note
    assert over_items.high - over_items.low > 2  # type: ignore[operator]


def test_clusters_that_cross_kinds_are_drawn_whole() -> None:
    """Every session has one turn of each kind and they cancel out: the macro mean is 0 in every draw."""
    gaps = np.random.default_rng(1).normal(size=30)
    values = [v for g in gaps for v in (g, -g)]
    cell = macro(values, ["a", "b"] * 30, clusters=[i // 2 for i in range(60)])
    assert cell.value == pytest.approx(0, abs=1e-12) and cell.low is None and "cancels out" in cell.note


def test_accuracies_that_are_all_right_keep_an_honest_interval() -> None:
    cell = accuracy([True] * 20)  # Clopper–Pearson: low = 0.025 ** (1 / 20)
    assert (cell.value, cell.high) == (1.0, 1.0) and cell.low == pytest.approx(0.025 ** (1 / 20))
    assert (cell.low, cell.high) == pytest.approx(binomtest(20, 20).proportion_ci(0.95, "exact"))
    none = accuracy([False] * 20 + [None])
    assert (none.value, none.low) == (0.0, 0.0) and none.high == pytest.approx(1 - 0.025 ** (1 / 20))
    sessions = accuracy([True] * 20, clusters=[i // 4 for i in range(20)])
    assert sessions.low == pytest.approx(0.025 ** (1 / 5))
    assert accuracy([True, False, True, True]).value == 0.75


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_cover_the_truth_about_95_times_of_100(clustered: bool) -> None:
    """300 repetitions: 40 sessions of 3 turns that share a session's level; the true mean is 2."""
    rng, hits = np.random.default_rng(7), 0
    for _ in range(300):
        values = 2 + np.repeat(rng.normal(size=40), 3) * clustered + rng.normal(size=120)
        cell = micro(list(values), clusters=[i // 3 for i in range(120)] if clustered else None)
        hits += cell.low <= 2 <= cell.high  # type: ignore[operator]
    assert 0.90 <= hits / 300 <= 0.985  # four standard errors about 0.95, and a percentile interval's small shortfall


def test_ignoring_sessions_would_cover_too_rarely() -> None:
    rng, hits = np.random.default_rng(7), 0
    for _ in range(200):
        values = 2 + np.repeat(rng.normal(size=40), 3) + rng.normal(size=120)
        cell = micro(list(values))
        hits += cell.low <= 2 <= cell.high  # type: ignore[operator]
    assert hits / 200 < 0.90


def test_thirty_thousand_items_need_little_memory() -> None:
    values = list(np.random.default_rng(0).normal(size=30_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cell, d = micro(values), paired(values, values[::-1])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 120  # MiB; 2,000 resamples of 30,000 at once would be 480
    assert cell.high - cell.low == pytest.approx(2 * 1.96 / math.sqrt(30_000), rel=0.1)  # type: ignore[operator]
    assert d.p is not None and d.p > 0.9  # the differences cancel out exactly


# ------------------------------------------------------------------------------------------- paired differences and Holm
def test_the_sign_flip_p_value_by_hand() -> None:
    """Differences 1, 2, 3: |sum| of the 8 patterns is 6 4 2 0 0 2 4 6, two of which reach 6: p = 2 / 8."""
    d = paired([0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    assert (d.cell.value, d.p) == (2.0, 0.25) and "all sign patterns" in d.test


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=9))
def test_small_families_are_counted_exactly(gaps: list[int]) -> None:
    sums = [abs(sum(s * g for s, g in zip(signs, gaps, strict=True))) for signs in product((1, -1), repeat=len(gaps))]
    expected = sum(s >= abs(sum(gaps)) for s in sums) / len(sums)
    assert paired([0.0] * len(gaps), [float(g) for g in gaps]).p == pytest.approx(expected)


def test_random_patterns_agree_with_the_exact_count() -> None:
    gaps = np.random.default_rng(3).normal(0.35, 1, EXACT_UNITS)
    exact = flip_p_value(gaps)
    assert 0.02 < exact < 0.98
    # two units too many for the exact count, of a size that changes no comparison
    sampled = flip_p_value(np.concatenate([gaps, [1e-9, -1e-9]]))
    assert sampled == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / FLIPS))


def test_a_paired_difference_is_antisymmetric_and_leaves_out_what_lacks_either() -> None:
    rng = np.random.default_rng(5)
    a: list[float | None] = list(rng.normal(size=30))
    b: list[float | None] = list(rng.normal(0.5, 1, size=30))
    a[3] = b[7] = None
    forth, back = paired(a, b), paired(b, a)
    assert (forth.cell.n, forth.cell.invalid) == (28, 2)
    assert forth.cell.value == pytest.approx(-back.cell.value) and forth.p == pytest.approx(back.p, abs=0.02)  # type: ignore[operator]


def test_pairing_by_session_counts_sessions() -> None:
    """Ten turns of one session that all gained 1 are one piece of evidence: 2 of 2 patterns are as extreme."""
    one = paired([0.0] * 10, [1.0] * 10, clusters=["s"] * 10)
    ten = paired([0.0] * 10, [1.0] * 10)
    assert one.p == 1.0 and ten.p == pytest.approx(2 / 2**10)


def test_equal_arms_have_p_1_and_the_macro_difference_is_that_of_macro_means() -> None:
    assert paired([1.0, 2.0], [1.0, 2.0]).p == 1.0
    a, b, kinds = [1.0, 2.0, 3.0, 8.0], [2.0, 2.0, 5.0, 7.0], ["x", "x", "x", "y"]
    d = paired(a, b, kinds=kinds)
    assert d.cell.value == pytest.approx((1 + 0 + 2) / 3 / 2 - 1 / 2)
    assert d.cell.value == pytest.approx(macro(b, kinds).value - macro(a, kinds).value)  # type: ignore[operator]


def test_p_values_are_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(11)
    results = [flip_p_value(rng.normal(size=25), seed=i, flips=500) for i in range(300)]
    assert 0.02 <= np.mean(np.array(results) <= 0.05) <= 0.09 and 0.42 <= np.mean(results) <= 0.58


def test_holm_by_hand() -> None:
    """Sorted 0.01 0.02 0.03 0.04 times 4 3 2 1 = 0.04 0.06 0.06 0.04; made monotone 0.04 0.06 0.06 0.06."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0] and holm([]) == []


def test_a_family_of_differences_is_adjusted_together() -> None:
    ds = [paired([0.0] * 8, [1.0] * 8), paired([0.0] * 8, [1.0, -1.0] * 4)]
    one, two = holm_adjusted(ds)
    assert one.adjusted == pytest.approx(2 * ds[0].p) and two.adjusted == 1.0  # type: ignore[operator]
    assert set(one.as_dict()) >= {"value", "p", "p_holm", "test"}


def test_a_difference_that_rounds_to_nothing_has_no_minus() -> None:
    assert Cell(value=-0.001, low=-0.5, high=0.5, n=3).text(sign=True) == "+0.00 [-0.50, +0.50]"
