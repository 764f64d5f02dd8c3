"""Tie-aware accuracy: a worked example, against trying every epsilon, and that no pair is scored by the epsilon it chose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput
from judges.ties import best_epsilon, halves, predicted, right, tie_aware_accuracy

ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", "tie", "tie_good", "tie_bad"]), st.integers(-6, 6)), max_size=25)


def test_the_best_epsilon_by_hand() -> None:
    """People: a a b tie tie; margins 3, 1, -2, 0.5, -1.
    epsilon 0: a a b right, 3/5.   0.5: the first tie too, 4/5.   1: both ties, but the second a is lost, 4/5.   2: b lost, 3/5.
    The smallest of the two best is taken."""
    human, margins = ["a", "a", "b", "tie", "tie"], [3, 1, -2, 0.5, -1]
    assert best_epsilon(human, margins) == (0.5, 0.8)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_no_epsilon_does_better(rows: list[tuple[str, int]]) -> None:
    human, margins = [r[0] for r in rows], [r[1] / 2 for r in rows]
    epsilon, best = best_epsilon(human, margins)
    reached = {e: np.mean([bool(right(h, m, e)) for h, m in zip(human, margins, strict=True)]) if rows else 0.0
               for e in [0.0, *(abs(m) for m in margins)]}  # fmt: skip
    assert best == pytest.approx(reached[epsilon]) == pytest.approx(max(reached.values()))
    assert epsilon == min(e for e, v in reached.items() if v == pytest.approx(best))


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_swapping_sides_and_scaling_scores_change_nothing(rows: list[tuple[str, int]]) -> None:
    human, margins = [r[0] for r in rows], [float(r[1]) for r in rows]
    turned = [{"a": "b", "b": "a"}.get(h, h) for h in human]
    epsilon, best = best_epsilon(human, margins)
    assert best_epsilon(turned, [-m for m in margins]) == (epsilon, best)
    assert best_epsilon(human, [8 * m for m in margins]) == (8 * epsilon, best)


def test_predictions_and_what_is_right() -> None:
    assert [predicted(m, 1.0) for m in (2, 1, 0, -1, -2)] == ["a", "tie", "tie", "tie", "b"]
    assert right("tie_bad", 0.0) and right("tie", 0.0) and not right("a", 0.0) and right("b", -0.1)
    assert right("a", None) is None


def test_epsilon_is_chosen_on_one_half_and_applied_to_the_other() -> None:
    """On the half that chooses, ties lie at |margin| 1 and preferences at 3; on the other half the ties lie at 5."""
    clusters = [f"c{i}" for i in range(40)]
    first = halves(clusters, seed=3)
    human = ["tie" if i % 2 else "a" for i in range(40)]
    margins = [(1.0 if mine else 5.0) if i % 2 else 3.0 for i, mine in enumerate(first)]
    result = tie_aware_accuracy(human, margins, clusters, seed=3)
    assert (result.epsilon, result.calibration, result.n_calibration) == (1.0, 1.0, 20)
    others = [i for i in range(40) if not first[i]]
    assert result.test.n == 20 and result.test.value == pytest.approx(np.mean([human[i] == "a" for i in others]))
    # an epsilon chosen on everything would have been 1 too, and would be shown with the calibration half's luck in it
    assert result.in_sample == pytest.approx((20 + sum(human[i] == "a" for i in others)) / 40)


def test_changing_the_test_half_never_changes_epsilon() -> None:
    rng = np.random.default_rng(0)
    clusters = [f"c{i}" for i in range(60)]
    human, margins = list(rng.choice(["a", "b", "tie"], 60)), list(rng.normal(size=60))
    before = tie_aware_accuracy(human, margins, clusters)
    first = halves(clusters)
    other = [m if mine else float(rng.normal() * 9) for m, mine in zip(margins, first, strict=True)]
    assert tie_aware_accuracy(human, other, clusters).epsilon == before.epsilon


def test_choosing_on_the_test_set_flatters_a_judge_that_knows_nothing() -> None:
    """Random scores, a third of the pairs tied: over 200 draws, in-sample accuracy is above that of the other half."""
    rng, gap = np.random.default_rng(1), []
    for _ in range(200):
        human = list(rng.choice(["a", "b", "tie"], 40))
        result = tie_aware_accuracy(human, list(rng.normal(size=40)), range(40), seed=0)
        gap.append(result.in_sample - result.test.value)  # type: ignore[operator]
    assert np.mean(gap) > 0.03


def test_requests_stay_together_and_the_split_does_not_depend_on_the_order_of_rows() -> None:
    clusters = [f"request {i // 3}" for i in range(60)]
    first = halves(clusters, seed=5)
    assert all(len({first[k] for k in range(60) if clusters[k] == c}) == 1 for c in set(clusters))
    assert sum(first) == 30 and halves(clusters[::-1], seed=5) == first[::-1] and halves(clusters, seed=6) != first


def test_invalid_and_missing_verdicts() -> None:
    clusters = list(range(20))
    human, margins = ["a"] * 20, [1.0] * 20
    first = halves(clusters)
    other = [i for i in range(20) if not first[i]]
    some: list[float | None] = [None if i in other[:3] else 1.0 for i in range(20)]
    result = tie_aware_accuracy(human, some, clusters)
    assert (result.test.n, result.test.invalid, result.test.missing) == (7, 3, 0)
    result = tie_aware_accuracy(human, some, clusters, missing=[m is None for m in some])
    assert (result.test.n, result.test.invalid, result.test.missing) == (7, 0, 3) and result.test.partial
    nothing = tie_aware_accuracy(human, [None] * 20, clusters)
    assert nothing.epsilon is None and nothing.test.value is None and nothing.test.invalid == 10
    with pytest.raises(BadInput, match="two requests"):
        tie_aware_accuracy(["a", "b"], margins[:2], ["same", "same"])
