"""Samples: the same everywhere, nested, uniform."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sampling import describe_sampling, sample_ids, take
from benchmarks.ultraedit import shares
from common.errors import BadInput


def test_a_sample_is_the_same_on_every_day() -> None:
    """By hand: the ten ranks are sha256("0:0").. sha256("0:9"); these are the three smallest
    (`for i in 0..9: printf "0:$i" | sha256sum`, sorted)."""
    assert sample_ids(10, 3, 0) == [4, 7, 9]


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 5))
def test_a_sample_is_ascending_without_doubles_and_of_the_size_asked_for(total: int, n: int, seed: int) -> None:
    ids = sample_ids(total, n, seed)
    assert ids == sorted(set(ids)) and len(ids) == min(n, total)
    assert all(0 <= i < total for i in ids)
    assert set(ids) <= set(sample_ids(total, n + 1, seed))  # a larger sample goes on from a smaller one
    assert take([str(i) for i in range(total)], n, seed) == [str(i) for i in ids]


def test_every_row_is_as_likely_as_any_other() -> None:
    """Each of 20 rows is in a sample of 5 with p = 1/4: over 4,000 seeds 1,000 ± 27 times; 5 standard deviations are 137."""
    counts = [0] * 20
    for seed in range(4000):
        for i in sample_ids(20, 5, seed):
            counts[i] += 1
    assert all(abs(c - 1000) < 137 for c in counts)


def test_none_is_all_and_nothing_is_refused() -> None:
    assert sample_ids(4, None, 7) == [0, 1, 2, 3] == sample_ids(4, 9, 7)
    assert describe_sampling(None, 4, 7) == "all 4 requests"
    assert "2 of 4 sessions" in describe_sampling(2, 4, 7, "sessions") and "seed 7" in describe_sampling(2, 4, 7)
    with pytest.raises(BadInput, match="samples=0"):
        sample_ids(4, 0, 7)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(1, 250))
def test_shares_add_up_and_are_as_equal_as_the_sizes_allow(sizes: list[int], n: int) -> None:
    given_ = shares(sizes, n)
    assert sum(given_) == min(n, sum(sizes)) and all(g <= s for g, s in zip(given_, sizes, strict=True))
    open_ = [g for g, s in zip(given_, sizes, strict=True) if g < s]  # those that could have given more
    assert not open_ or max(given_) <= min(open_) + 1


def test_shares_by_hand() -> None:
    assert shares([10, 10, 10], 7) == [3, 2, 2]  # 7 = 3·2 + 1, the first gets what is left
    assert shares([1, 10, 10], 7) == [1, 3, 3]  # the first has one; the other six go to two
    assert shares([2, 3], None) == [2, 3]
