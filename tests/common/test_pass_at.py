"""pass@k: by hand, against counting all choices, and what it may not be asked."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput
from common.pass_at import pass_at


def test_known_values() -> None:
    assert pass_at(1, 3, 12) == pytest.approx(0.25)  # the share of right answers
    assert pass_at(8, 1, 8) == 1.0 and pass_at(8, 0, 8) == 0.0  # all answers: whether any is right
    assert pass_at(2, 1, 4) == pytest.approx(0.5)  # 3 of the 6 pairs hold the right one
    assert pass_at(2, 3, 4) == 1.0  # every pair holds a right one


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(1, n), st.integers(0, n), st.just(n))))
def test_it_is_the_share_of_all_choices_that_hold_a_right_one(case: tuple[int, int, int]) -> None:
    k, right, n = case
    choices = list(combinations([i < right for i in range(n)], k))
    assert pass_at(k, right, n) == pytest.approx(sum(map(any, choices)) / len(choices))


@pytest.mark.parametrize(("k", "right", "n"), [(0, 0, 4), (5, 0, 4), (1, 5, 4), (1, -1, 4)])
def test_what_cannot_be_estimated_is_refused(k: int, right: int, n: int) -> None:
    with pytest.raises(BadInput):
        pass_at(k, right, n)
