"""Differences paired by (seed, test sample): hand-worked numbers, symmetry, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from common.statistics import mean, mean_difference
from experiments.reports.sweep import comparisons, forest
from experiments.reports.sweep.comparisons import Comparison, Replicates, telling, unfit
from experiments.reports.sweep.comparisons import test_samples as samples_of  # not a test
from experiments.reports.sweep.differences import difference, over_both, over_samples
from experiments.reports.sweep.measures import CHOICE, RAW_EDITOR, RL
from experiments.reports.sweep.team import TEAM
from experiments.runs.results import Evaluation

SAMPLES = ("s0", "s1", "s2")
FIRST = {0: {"s0": 1.0, "s1": 2.0, "s2": 3.0}, 1: {"s0": 2.0, "s1": 2.0, "s2": 2.0}}
SECOND = {0: {"s0": 2.0, "s1": 4.0, "s2": 3.0}, 1: {"s0": 5.0, "s1": 2.0, "s2": 2.0}}


def rows(overall: Sequence[float | None], request: str = "do it") -> list[dict[str, Any]]:
    """An arm's rows; None is an invalid verdict."""
    return [
        {
            "i": i,
            "id": f"s{i}",
            "request": request,
            "valid": x is not None,
            "scores": {} if x is None else {"overall": x},
        }
        for i, x in enumerate(overall)
    ]


def decomposed(f1: Sequence[float], request: str = "do it") -> list[dict[str, Any]]:
    return [
        {
            "i": i,
            "id": f"s{i}",
            "request": request,
            "gold": [["remove", "tree", None]],
            "scores": {"action": x, "subject": x, "goal": x},
        }
        for i, x in enumerate(f1)
    ]


def run(shift: float = 0.0, request: str = "do it", **arms: Sequence[float | None]) -> Evaluation:
    """Three samples; RL adds 1 to every overall and 0.1 to every F1."""
    given: dict[str, Sequence[float | None]] = {
        "editor": [1.0, 2.0, 3.0],
        "agents": [4.0 + shift, 5.0, 6.0],
        "agents_rl": [5.0 + shift, 6.0, 7.0],
    } | arms
    return Evaluation(
        {"before": decomposed([0.5, 0.6, 0.7], request), "after": decomposed([0.6, 0.7, 0.8], request)},
        {arm: rows(x, request) for arm, x in given.items()},
    )


def within(where: str, runs: Replicates) -> list[Comparison]:
    return comparisons.within(where, runs, TEAM)


def between(where: str, first: Replicates, second: Replicates) -> list[Comparison]:
    return comparisons.between(where, first, second, TEAM)


def compare(keys: list[str], groups: dict[tuple[str, ...], Replicates]) -> list[Comparison]:
    return comparisons.compare(keys, groups, TEAM)


def forests(answered: list[Comparison]) -> list[str]:
    return forest.forests(answered, TEAM.forests)


def answers(found: list[Comparison]) -> dict[str, Any]:
    return {c.question: c.difference for c in found}


def test_pairing_by_hand() -> None:
    # seed 0: +1, +2, 0; seed 1: +3, 0, 0. Per sample over the seeds: 2, 1, 0.
    d = difference(FIRST, SECOND, SAMPLES)
    assert d.samples.value == pytest.approx(1.0) and d.samples.n == 3
    assert d.seeds == {0: pytest.approx(1.0), 1: pytest.approx(1.0)}
    assert d.samples == mean([2.0, 1.0, 0.0])
    assert d.left_out == 0


def test_a_pair_that_lacks_either_value_is_left_out_and_counted() -> None:
    first = {0: {"s0": 1.0, "s1": 2.0}, 1: {"s0": 2.0, "s1": 2.0, "s2": 2.0}}  # s2 of seed 0 is not there
    second = {0: {"s0": 2.0, "s1": 4.0, "s2": 3.0}, 1: {"s0": 5.0, "s2": 2.0}}  # s1 of seed 1 is not there
    d = difference(first, second, SAMPLES)
    # s0: (1 + 3) / 2, s1: 2 (seed 0 alone), s2: 0 (seed 1 alone)
    assert d.samples == mean([2.0, 2.0, 0.0]) and d.left_out == 2
    assert d.seeds == {0: pytest.approx(1.5), 1: pytest.approx(1.5)}
    none = difference({0: {"s0": 1.0}}, {0: {"s1": 1.0}}, SAMPLES)
    assert none.samples.n == 0 and none.both.n == 0 and none.left_out == 3 and math.isnan(none.seeds[0])


def test_a_difference_turned_around_is_its_negative() -> None:
    forth, back = difference(FIRST, SECOND, SAMPLES), difference(SECOND, FIRST, SAMPLES)
    for f, b in ((forth.samples, back.samples), (forth.both, back.both)):
        assert (f.value, f.low, f.high) == pytest.approx((-b.value, -b.high, -b.low))
    assert forth.seeds == {s: pytest.approx(-x) for s, x in back.seeds.items()}


def test_questions_whose_sides_are_the_same_are_a_sentence_and_no_row_of_zeros() -> None:
    assert difference(FIRST, SECOND, SAMPLES).differing == 2 and difference(FIRST, FIRST, SAMPLES).differing == 0
    same = [(0, run()), (1, run())]
    found = between("reward: f1 → f1_goal", same, same)
    assert found and all(c.difference is not None and c.difference.differing == 0 for c in found)
    assert forests(found) == []
    assert forests(within("as configured", same)) != []


def test_only_common_seeds_count() -> None:
    assert difference(FIRST | {7: {"s0": 99.0}}, SECOND, SAMPLES) == difference(FIRST, SECOND, SAMPLES)


def test_one_seed_is_the_plain_paired_bootstrap() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 50).tolist(), rng.normal(0.3, 1, 50).tolist()
    ids = [f"s{i}" for i in range(50)]
    d = difference({4: dict(zip(ids, a, strict=True))}, {4: dict(zip(ids, b, strict=True))}, ids)
    assert d.samples == d.both == mean_difference(a, b)


def test_the_interval_over_both_is_wide_where_seeds_scatter_and_like_that_over_samples_where_they_agree() -> None:
    rng = np.random.default_rng(2)
    samples = rng.normal(0, 1, 300)
    agree = np.stack([samples] * 3)
    scatter = agree + np.array([[-1.0], [0.0], [1.0]])
    same, wide = over_both(agree), over_both(scatter)
    plain = over_samples(agree)
    assert (same.low, same.high) == pytest.approx((plain.low, plain.high), abs=0.03)
    # 95 % of three draws of (-1, 0, 1): both ends of their mean are reached with 1 in 27 each
    assert wide.low < -0.8 and wide.high > 0.8 and wide.value == pytest.approx(samples.mean())
    assert over_both(scatter) == wide


def test_the_interval_over_both_leaves_out_what_no_drawn_seed_has() -> None:
    table = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 3.0]])
    result = over_both(table)
    assert result.n == 2 and result.value == pytest.approx(2.0) and 1.0 <= result.low <= result.high <= 3.0


def test_within_a_configuration_rl_is_compared_with_no_rl_and_with_the_raw_editor() -> None:
    result = within("as configured", [(0, run()), (1, run(shift=0.5))])
    by = answers(result)
    assert [c.kind for c in result] == [RL, RL, RAW_EDITOR]
    assert by["team after RL − team before RL"].samples.value == pytest.approx(1.0)
    assert by["mean F1, after − before RL"].samples.value == pytest.approx(0.1)
    assert by["team after RL − editor alone"].seeds == {0: pytest.approx(4.0), 1: pytest.approx(4.0 + 0.5 / 3)}


def test_the_editor_with_as_many_calls_is_compared_where_it_was_run() -> None:
    more = run(editor_chance=[2.0, 2.0, 2.0], editor_best=[5.0, None, 6.0])
    by = {c.question: c for c in within("as configured", [(0, more), (1, run())])}
    assert len(by) == 5
    chance, best = [c.difference for q, c in by.items() if q not in answers(within("", [(0, run())]))]
    assert chance is not None and best is not None
    assert chance.samples.value == pytest.approx(4.0) and set(chance.seeds) == {0}  # the seed that has it
    assert best.samples == mean([0.0, 1.0]) and best.left_out == 1


def test_every_pair_that_differs_in_one_choice_is_compared_whatever_the_order_of_runs() -> None:
    groups: dict[tuple[str, ...], Replicates] = {
        ("multi", "f1"): [(0, run(0.3)), (1, run(0.6))],
        ("single", "f1"): [(1, run()), (0, run())],
        ("single", "f1_goal"): [(0, run(0.9))],
    }
    result = compare(["execution", "reward"], groups)
    pairs = list(dict.fromkeys(c.where for c in result if c.kind == CHOICE))
    assert pairs == ["reward: f1 → f1_goal (execution single)", "execution: single → multi (reward f1)"]
    team = [c.difference for c in result if c.where == pairs[1] and c.question == "team after RL"][0]
    assert team is not None and team.seeds == {0: pytest.approx(0.1), 1: pytest.approx(0.2)}
    assert [c.question for c in result if c.where == pairs[0]] == [
        "team after RL", "team before RL", "editor alone", "mean F1 after RL",
    ]  # fmt: skip
    turned: dict[tuple[str, ...], Replicates] = {key: group[::-1] for key, group in reversed(groups.items())}
    assert compare(["execution", "reward"], turned) == result


def test_numbers_are_compared_from_the_smaller_to_the_greater() -> None:
    groups: dict[tuple[str, ...], Replicates] = {(steps,): [(0, run())] for steps in ("1000", "400")}
    assert any(c.where == "algo.steps: 400 → 1000" for c in compare(["algo.steps"], groups))


def test_other_test_samples_are_refused_with_the_reason() -> None:
    (refused,) = between("reward: a → b", [(0, run())], [(0, run(request="do another thing"))])
    assert refused.difference is None and "test samples differ" in refused.refused and "only 0" in refused.refused
    fewer = run()
    fewer = Evaluation({w: r[:2] for w, r in fewer.decompositions.items()}, {a: r[:2] for a, r in fewer.arms.items()})
    (refused,) = between("reward: a → b", [(0, run())], [(0, fewer)])
    assert "tested on 3, another on 2, and only 2" in refused.refused
    (refused,) = within("as configured", [(0, run()), (1, fewer)])
    assert "test samples differ" in refused.refused


def test_what_cannot_be_paired_says_why() -> None:
    (refused,) = between("reward: a → b", [(0, run())], [(1, run())])
    assert "no seed in common" in refused.refused
    assert "seed 3" in unfit([(3, run()), (3, run())]) and unfit([(3, run()), (4, run())]) == ""
    double = run()
    double.arms["agents"].append(dict(double.arms["agents"][0]))
    assert "several rows" in unfit([(0, double)])


def test_a_file_that_lacks_rows_does_not_change_what_the_samples_are() -> None:
    short = run()
    short.arms["agents_rl"].pop()
    assert samples_of(short) == samples_of(run())
    d = answers(between("reward: a → b", [(0, run())], [(0, short)]))["team after RL"]
    assert d.samples.n == 2 and d.left_out == 1


def test_a_plot_per_scale_with_the_raw_editor_apart() -> None:
    result = within("as <configured>", [(0, run()), (1, run(0.5))])
    plots = forests(result)
    assert len(plots) == 3 and all(p.startswith("<svg") and "as &lt;configured&gt;" in p for p in plots)
    assert forests([]) == [] == forests(within("x", [(0, run()), (0, run())]))


def test_names_in_figures_have_the_keys_that_tell_configurations_apart() -> None:
    assert telling([("main", "12", "f1"), ("main", "12", "f1_goal"), ("rl_matters", "200", "f1")]) == [0, 2]
    assert telling([("a", "x")]) == telling([()]) == telling([]) == []
    random = np.random.default_rng(0)
    for _ in range(50):
        drawn = [tuple(map(str, row)) for row in np.unique(random.integers(0, 3, (4, 5)), axis=0)]
        kept = telling(drawn)
        assert len({tuple(c[k] for k in kept) for c in drawn}) == len(drawn)
        assert all(len({tuple(c[k] for k in kept[:n]) for c in drawn}) > n for n in range(1, len(kept) + 1))
