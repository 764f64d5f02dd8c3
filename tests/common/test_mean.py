"""Means, intervals and paired differences."""

from __future__ import annotations

import math

from common.statistics import mean, mean_difference


def test_a_mean_lies_in_its_interval_and_the_same_rows_give_the_same_interval() -> None:
    values = [0.1 * i for i in range(30)]
    m = mean(values)
    assert m.low < m.value < m.high and m.n == 30  # type: ignore[operator]
    assert m == mean(values)


def test_more_samples_give_a_narrower_interval_near_the_normal_one() -> None:
    few, many = mean([0.0, 1.0] * 10), mean([0.0, 1.0] * 500)
    width = lambda c: c.high - c.low  # noqa: E731
    assert width(many) < width(few)
    assert abs(width(many) / 2 - 1.96 * 0.5 / math.sqrt(1000)) < 0.004


def test_no_values_are_no_number() -> None:
    assert mean([]).n == 0 and mean([]).text() == "–"
    assert mean([3.0]) == mean([3.0, math.nan]) and mean([3.0]).text() == "3.00"


def test_a_paired_difference_leaves_out_samples_that_lack_either() -> None:
    d = mean_difference([1.0, None, 3.0, 4.0], [2.0, 5.0, None, 6.0])
    assert (d.value, d.n) == (1.5, 2)
