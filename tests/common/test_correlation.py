"""Rank correlations and kappas: worked examples, scipy where it has them, and what must not change a number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from common.correlation import cohen_kappa, fisher_mean, fleiss_kappa, kendall, spearman, spearman_rows
from common.errors import BadInput

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=25)
LABELS = ("b", "tie", "a")


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_spearman_and_kendall_are_scipys_where_they_are_defined(pairs: list[tuple[int, int]]) -> None:
    x, y = [float(p[0]) for p in pairs], [float(p[1]) for p in pairs]
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert spearman(x, y) is None and kendall(x, y) is None
        return
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(PAIRS)
def test_a_monotone_transform_leaves_rank_statistics_alone_and_a_reversal_turns_them(
    pairs: list[tuple[int, int]],
) -> None:
    x, y = [float(p[0]) for p in pairs], [float(p[1]) for p in pairs]
    for correlate in (spearman, kendall):
        plain, bent, turned = (correlate(v, y) for v in (x, [math.exp(v / 3) - 7 for v in x], [-v for v in x]))
        assert plain == pytest.approx(bent) if plain is not None else bent is None
        assert turned is None or turned == pytest.approx(-plain)  # type: ignore[operator]
        assert correlate(y, x) == (pytest.approx(plain) if plain is not None else None)


def test_kendalls_tau_b_by_hand() -> None:
    """x 1 2 3, y 1 1 2: of three pairs two concordant, one tied in y: 2 / sqrt(3 * 2)."""
    assert kendall([1, 2, 3], [1, 1, 2]) == pytest.approx(2 / math.sqrt(6))


def test_rows_are_correlated_one_by_one() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 4, 12))
    y[2] = 1.0
    assert spearman_rows(x, y) == [spearman(a, b) for a, b in zip(x, y, strict=True)]
    assert spearman_rows(x, y)[2] is None and spearman([1.0], [2.0]) is None
    with pytest.raises(BadInput, match="same length"):
        spearman([1, 2, 3], [1, 2])


def test_fishers_average_by_hand_and_not_as_others_do_it() -> None:
    """atanh(0.8) = 1.0986 = ln 3, atanh(0) = 0; tanh of half of ln 3 is (3 - 1) / (3 + 1) = 0.5."""
    assert fisher_mean([0.8, 0.0]) == pytest.approx(0.5)
    assert fisher_mean([0.5, None, 0.5]) == pytest.approx(0.5)
    assert math.tanh((0.5 + 0.5) / 2) == pytest.approx(0.4621, abs=1e-4)  # the mean of r taken for one of z
    assert fisher_mean([]) is None and fisher_mean([None]) is None
    assert fisher_mean([1.0]) == pytest.approx(1.0) and fisher_mean([-1.0, 1.0]) == pytest.approx(0.0)


def rows_of(table: Sequence[Sequence[int]], labels: Sequence[str]) -> tuple[list[str], list[str]]:
    cells = [(labels[i], labels[j]) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)]
    return [c[0] for c in cells], [c[1] for c in cells]


def test_cohens_kappa_by_hand() -> None:
    """50 items, both yes 20, both no 15, 5 and 10 apart: observed 0.7; expected 0.5 * 0.6 + 0.5 * 0.4 = 0.5; 0.2 / 0.5."""
    first, second = rows_of([[20, 5], [10, 15]], ["yes", "no"])
    assert cohen_kappa(first, second, ["yes", "no"]) == pytest.approx(0.4)


def test_weighted_kappa_by_hand() -> None:
    """Labels b tie a; (b, b) (tie, tie) (a, tie) (b, a). Linear distances observed 0 + 0 + 1 + 2, mean 3/4. Margins b 2 tie
    1 a 1 against b 1 tie 2 a 1: expected (2*(2*1 + 1*2) + 1*(1*1 + 1*1) + 1*(1*2 + 2*1)) / 16 = (8 + 2 + 4) / 16 = 7/8.
    Squares: observed 5/4; expected (2*(1*2 + 4*1) + (1 + 1) + (4*1 + 1*2)) / 16 = (12 + 2 + 6) / 16 = 5/4."""
    first, second = ["b", "tie", "a", "b"], ["b", "tie", "tie", "a"]
    assert cohen_kappa(first, second, LABELS, "linear") == pytest.approx(1 - (3 / 4) / (7 / 8))
    assert cohen_kappa(first, second, LABELS, "quadratic") == pytest.approx(0.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30))
def test_kappa_does_not_care_who_is_first_nor_for_the_labels_names(rows: list[tuple[str, str]]) -> None:
    one, two = [r[0] for r in rows], [r[1] for r in rows]
    plain = cohen_kappa(one, two, LABELS)
    same = lambda k: k == (None if plain is None else pytest.approx(plain))  # noqa: E731
    assert same(cohen_kappa(two, one, LABELS)) and same(cohen_kappa(one, two, ("a", "b", "tie")))
    for weights in ("linear", "quadratic"):  # there the order counts, but not its direction
        turned = cohen_kappa(one, two, LABELS[::-1], weights)
        kept = cohen_kappa(one, two, LABELS, weights)
        assert turned == (None if kept is None else pytest.approx(kept))
    assert cohen_kappa(one, one, LABELS) == (1.0 if len(set(one)) > 1 else None)


def test_kappa_of_what_has_no_answer() -> None:
    assert cohen_kappa([], [], LABELS) is None and cohen_kappa(["a"], ["a"], LABELS) is None
    with pytest.raises(BadInput, match="'maybe'"):
        cohen_kappa(["maybe"], ["a"], LABELS)
    with pytest.raises(BadInput, match="cubic"):
        cohen_kappa(["a"], ["a"], LABELS, "cubic")


FLEISS = [  # 10 items, 14 raters, 5 categories: the worked example that textbooks and encyclopaedias share
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def test_fleiss_kappa_of_the_classic_example() -> None:
    """Mean agreement 0.378, by chance 0.143² + 0.2² + 0.279² + 0.15² + 0.229² = 0.213: (0.378 - 0.213) / (1 - 0.213)."""
    assert fleiss_kappa(FLEISS) == pytest.approx(0.20993, abs=1e-5)


def test_fleiss_kappa_does_not_care_for_the_order_of_items_or_categories_and_knows_its_limits() -> None:
    counts = np.array(FLEISS)
    assert fleiss_kappa(counts[::-1, [3, 1, 4, 0, 2]]) == pytest.approx(fleiss_kappa(counts))
    assert fleiss_kappa([[3, 0], [0, 3]]) == 1.0
    assert fleiss_kappa([[1, 1], [1, 1]]) == pytest.approx(-1.0)  # two raters who never agree
    assert fleiss_kappa([[3, 0], [3, 0]]) is None and fleiss_kappa(np.zeros((0, 2))) is None
    with pytest.raises(BadInput, match="same number of raters"):
        fleiss_kappa([[2, 1], [1, 1]])
