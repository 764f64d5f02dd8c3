"""Simulated annotators: as often of one mind as is stated."""

import math

import pytest

from benchmarks.preferences.base import TIE, A, B
from experiments.tiny.simulated import Annotators


def test_what_is_nearly_equal_is_the_same() -> None:
    assert Annotators(1.0, 0.5).label(6.0, 6.4, "x") == TIE
    assert Annotators(0.0, 0.5).label(6.0, 6.6, "x") == B
    assert Annotators(0.0, 0.0).label(7.0, 6.9, "x") == A


@pytest.mark.parametrize("gap", [1.0, 3.0])
def test_the_better_one_is_preferred_as_often_as_stated(gap: float) -> None:
    n = 4000
    share = sum(Annotators(1.0, 0.5).label(5 + gap, 5, str(k)) == A for k in range(n)) / n
    p = 1 / (1 + math.exp(-gap))
    assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_a_label_does_not_depend_on_the_side() -> None:
    labels = [(Annotators(2.0).label(4, 6, str(k)), Annotators(2.0).label(6, 4, str(k))) for k in range(300)]
    assert abs(sum(a == B for a, _ in labels) - sum(b == A for _, b in labels)) < 60
