"""Judges side by side: the numbers of each alone, paired differences, and a best one only where it is sure."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from benchmarks.preferences.base import DIMENSIONS, FOUR_WAY, GROUPS, PAIRS, STRICT
from common.errors import BadInput
from common.statistics import paired
from judges import agreement
from judges.answers import JudgedPair
from judges.side_by_side import compare_judges


def answers(margins: list[float | None], human: str = "a", **more: object) -> list[JudgedPair]:
    return [JudgedPair(f"g{i}", human, m, cluster=f"g{i}", **more) for i, m in enumerate(margins)]  # type: ignore[arg-type]


def some_judge(seed: int, noise: float, n: int = 60) -> list[JudgedPair]:
    """Groups of three edits of one request; the label a, b, tie in turn, and a margin that follows it with noise."""
    rng, rows = Random(seed), []
    for i in range(n):
        human = ("a", "b", "tie_good")[i % 3]
        margin = {"a": 1.0, "b": -1.0}.get(human, 0.0) + rng.gauss(0, noise)
        group = f"g{i // 3}"
        rows.append(JudgedPair(group, human, margin, kind=f"kind {i % 2}", cluster=group, ways=3))
    return rows


def test_differences_are_those_of_the_same_comparisons() -> None:
    """First: right, right, wrong, invalid; second: right, wrong, right, right. Both have three: 0, -1, +1, so 0 of 3."""
    first, second = answers([1, 1, -1, None]), answers([1, -1, 1, 1])
    (measure,) = compare_judges(PAIRS, [first, second])
    assert measure.name == "accuracy_without_ties" and measure.best is None
    assert [(c.value, c.n, c.invalid) for c in measure.cells] == [(pytest.approx(2 / 3), 3, 1), (0.75, 4, 0)]
    (gap,) = measure.differences
    assert (gap.cell.value, gap.cell.n, gap.cell.invalid) == (0.0, 3, 1) and gap.p == 1.0


def test_a_judge_that_is_always_right_is_the_best_of_many_pairs_and_of_few_it_is_not() -> None:
    for n, best in ((40, 1), (4, None)):
        good, bad = answers([1.0] * n), answers([(-1.0) ** i for i in range(n)])
        (measure,) = compare_judges(PAIRS, [bad, good, bad])
        assert measure.best == best and measure.differences[0].significant == (best is not None)
        assert measure.differences[1].cell.value == 0.0 and not measure.differences[1].significant


def test_two_equally_good_judges_are_neither_of_them_the_best() -> None:
    good, bad = answers([1.0] * 40), answers([(-1.0) ** i for i in range(40)])
    (measure,) = compare_judges(PAIRS, [bad, good, good])
    assert measure.best is None and all(gap.significant for gap in measure.differences)


@pytest.mark.parametrize(
    ("rule", "own"),
    [
        (GROUPS, lambda a: agreement.group_accuracy(a)["all"]),
        (STRICT, agreement.strict_accuracy),
        (FOUR_WAY, agreement.four_way_accuracy),
        (DIMENSIONS, agreement.dimension_accuracy),
    ],
)
def test_the_sets_own_measure_comes_first_with_the_number_of_the_judge_alone(rule, own) -> None:  # type: ignore[no-untyped-def]
    judges = [some_judge(1, 0.5), some_judge(2, 1.5), some_judge(3, 1.0)]
    measures = compare_judges(rule, judges, seed=3)
    assert [m.name for m in measures[1:]] == ["tie_aware_accuracy", "accuracy_without_ties"]
    assert [c.value for c in measures[0].cells] == [own(judge).value for judge in judges]
    for k, gap in enumerate(measures[0].differences, 1):  # macro or micro: the gap of the means, nothing being invalid
        assert gap.cell.value == pytest.approx(measures[0].cells[k].value - measures[0].cells[0].value)  # type: ignore[operator]
    tests = [agreement.tie_aware_accuracy(
        [r.human for r in j], [r.margin for r in j], [r.cluster for r in j], seed=3).test for j in judges]  # fmt: skip
    assert list(measures[1].cells) == tests


def test_the_difference_is_drawn_by_request_and_corrected_over_the_whole_table() -> None:
    judges = [some_judge(1, 0.5), some_judge(2, 1.5), some_judge(3, 1.0)]
    measures = compare_judges(PAIRS, judges)
    clear = [[r for r in judge if r.human != "tie_good"] for judge in judges]
    marks = [[float((r.margin or 0) * (1 if r.human == "a" else -1) > 0) for r in judge] for judge in clear]
    plain = paired(marks[0], marks[1], clusters=[r.cluster for r in clear[0]])
    gap = measures[-1].differences[0]
    assert (gap.cell, gap.p) == (plain.cell, plain.p) and "clusters" in gap.test
    raw = [d.p for m in measures for d in m.differences]
    lowest = min(p for p in raw if p is not None)
    adjusted = [d.adjusted for m in measures for d in m.differences]
    assert min(p for p in adjusted if p is not None) == pytest.approx(min(1.0, len(raw) * lowest))


def test_a_judge_that_compares_has_no_epsilon() -> None:
    """Of votes the tie is a tie; an epsilon of 1 would call every vote one."""
    votes = [replace(r, margin=m, label=w) for r, (m, w) in zip(
        some_judge(1, 0.1, 30), [(1.0, "a"), (-1.0, "b"), (1.0, "a")] * 10, strict=True)]  # fmt: skip
    measures = {m.name: m for m in compare_judges(PAIRS, [votes, some_judge(1, 0.1, 30)])}
    assert measures["tie_aware_accuracy"].cells[0].value == pytest.approx(2 / 3)
    assert measures["accuracy_without_ties"].cells[0].value == 1.0


def test_answers_to_other_comparisons_and_a_single_judge_are_refused() -> None:
    with pytest.raises(BadInput, match="different comparisons"):
        compare_judges(PAIRS, [answers([1.0]), answers([1.0], human="b")])
    with pytest.raises(BadInput, match="two or more"):
        compare_judges(PAIRS, [answers([1.0])])
