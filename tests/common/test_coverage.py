"""How often intervals hold the truth: where units are alike, or few differ, they do, or the cell is marked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from common.cells import Cell, remarks
from common.intervals import FEW, proportion_interval
from common.resampling import TAILS, tail
from common.statistics import accuracy, macro, mean, micro, paired

Draw = Callable[[np.random.Generator, int], np.ndarray]
REPEATS = 150


def gaps(share: float) -> Draw:
    """Paired differences that are mostly 0, on average 0.5 · share."""
    return lambda rng, n: np.where(rng.random(n) < share, rng.normal(0.5, 2, n).round(1), 0.0)


def quality(share: float) -> Draw:
    """Scores that are mostly 10, on average 10 − 3 · share."""
    return lambda rng, n: 10 - np.where(rng.random(n) < share, rng.exponential(3, n), 0.0)


@pytest.mark.parametrize(
    ("draw", "truth", "n"),
    [
        (gaps(0.02), 0.01, 20), (gaps(0.04), 0.02, 100), (gaps(0.2), 0.1, 20), (gaps(0.1), 0.05, 100),
        (quality(0.02), 9.94, 20), (quality(0.05), 9.85, 20), (quality(0.04), 9.88, 100), (quality(0.1), 9.7, 100),
        (lambda rng, n: rng.normal(2, 1, n), 2.0, 5), (lambda rng, n: rng.normal(2, 1, n), 2.0, 10),
    ],
)  # fmt: skip
def test_an_interval_that_is_not_marked_misses_the_truth_rarely(draw: Draw, truth: float, n: int) -> None:
    rng, missed = np.random.default_rng(3), 0
    for _ in range(REPEATS):
        cell = micro(list(draw(rng, n)))
        if not cell.note:
            missed += not cell.low <= truth <= cell.high  # type: ignore[operator]
    assert missed / REPEATS <= 0.1  # nominal 0.05, and three standard errors


def test_a_plain_percentile_interval_would_miss_it_often() -> None:
    """The reason for the marks: half of the cells of 20 scores near 10 do not hold the truth."""
    rng, hit = np.random.default_rng(3), 0
    for _ in range(200):
        x = quality(0.05)(rng, 20)
        low, high = np.quantile(x[rng.integers(0, 20, (500, 20))].mean(1), TAILS)
        hit += low <= 9.85 <= high
    assert hit / 200 < 0.65


@pytest.mark.parametrize(("n", "p"), [(200, 0.98), (20, 0.95), (50, 0.5)])
def test_proportions_are_covered_wherever_they_lie(n: int, p: float) -> None:
    """Exactly, over all outcomes of a binomial: never below 95 %."""
    from scipy.stats import binom

    covered = 0.0
    for hits in range(n + 1):
        low, high = proportion_interval(hits, n)
        covered += binom.pmf(hits, n, p) * (low <= p <= high)
    assert covered >= 0.95


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_proportion_is_clopper_pearsons_and_grows_with_the_hits(case: tuple[int, int]) -> None:
    hits, n = case
    low, high = proportion_interval(hits, n)
    exact = binomtest(hits, n).proportion_ci(0.95, "exact")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    if hits:
        before = proportion_interval(hits - 1, n)
        assert before[0] < low and before[1] <= high  # 199 of 200 can never have a higher lower end than 200 of 200
    assert (lambda c: (c.low, c.high))(accuracy([True] * hits + [False] * (n - hits))) == (low, high)
    assert mean([1.0] * hits + [0.0] * (n - hits), shares=True).low == low


def test_a_point_is_never_given_for_an_interval() -> None:
    for cell in (
        micro([5.0] * 30),
        mean([5.0] * 30),
        paired([1.0] * 30, [1.0] * 30).cell,
        macro([5.0] * 30, ["a"] * 30),
    ):
        assert (cell.low, cell.high, cell.n) == (None, None, 30) and "all 30 values are alike" in cell.note
        assert "[" not in cell.text() and "*" in cell.text()
    assert micro([5.0] * 30).text() == "5.00*" and "12 % of all might differ" in micro([5.0] * 30).note
    sessions = micro([5.0] * 30, clusters=[i // 3 for i in range(30)])
    assert sessions.low is None and "all 10 clusters" in sessions.note


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(0, 40))
def test_a_cell_is_marked_exactly_where_few_units_differ(different: int, alike: int) -> None:
    cell = micro([10.0] * (alike + 1) + [float(i) / 2 for i in range(different)])
    assert bool(cell.note) is (different < FEW)
    assert cell.low is not None and cell.low <= cell.value <= cell.high  # type: ignore[operator]


def test_tails_are_students_for_few_units_and_the_nominal_ones_for_many() -> None:
    assert tail(100_000) == pytest.approx(0.025, rel=1e-3) and tail(0) == 0.0
    assert tail(4) < tail(9) < tail(19) < 0.025
    assert tail(19) == pytest.approx(0.0159, abs=2e-4)  # Φ(−2.093 · sqrt(20 / 19))


def test_stars_are_explained_once_whatever_their_numbers() -> None:
    cells = [micro([5.0] * n) for n in (10, 20, 30)] + [micro([1.0, 2.0, 4.0]), Cell(1.0, 0.5, 1.5, 9)]
    lines = remarks(cells)
    assert len(lines) == 2 and all(line.startswith("* ") for line in lines)
    assert "all 10–30 values are alike" in lines[0]  # true of every star that points to it
    assert remarks(cells[:1]) == ["* " + cells[0].note]
