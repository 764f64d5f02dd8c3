"""Known answers worked by hand, and the properties every F1 here must have."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import Edit
from rewards.set_f1 import exact_match, linked_f1, normalise, paired_f1s, set_f1, similarity, soft_set_f1

words = st.sampled_from(["red star", "the red star", "blue moon", "RED  STAR!", "moon", "3", "a", "", "star red"])
lists = st.lists(words, max_size=6)
edits = st.lists(st.builds(Edit, st.sampled_from(["add", "move"]), words, st.none() | words), max_size=5)


@pytest.mark.parametrize(
    ("item", "plain"),
    [
        ("The  Red\tStar", "red star"),
        ("an apple, a pear", "apple pear"),
        ("multi-coloured", "multi coloured"),
        ("dog's", "dogs"),
        ("“left of” the_star.", "left of star"),
        ("1.5", "1.5"),
        ("1,000 px", "1000 px"),
        ("-1,234,567.5", "-1234567.5"),
        ("１，０００", "1000"),
        ("0,500", "0,500"),  # a decimal comma
        ("1,0000", "1,0000"),
        ("1,5", "1,5"),
        ("-3", "-3"),
        ("(+3)", "+3"),
        ("50 %", "50%"),
        ("50%", "50%"),
        ("50\u00a0％", "50%"),
        ("1,000 %", "1000%"),
        ("16:9", "16:9"),
        ("red: 3.", "red 3"),
        ("$5", "$5"),
        ("A", "a"),
        ("!?", "!?"),
        ("", ""),
        ("ＨＩ", "hi"),
        ("Straße", "strasse"),
        ("星星", "星星"),
    ],
)
def test_normalise(item, plain):
    assert normalise(item) == plain


@given(st.text() | st.text(st.sampled_from("0159,.% '’-/:a ")))
def test_normalise_is_idempotent(text):
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("predicted", "gold", "value"),
    [
        ([], [], 1.0),
        (["x"], [], 0.0),
        ([], ["x"], 0.0),
        (["x"], ["x"], 1.0),
        (["x", "y"], ["x"], 2 / 3),  # P 1/2, R 1
        (["x", "y"], ["x", "z"], 0.5),
        (["x", "x"], ["x"], 2 / 3),  # a doubled item is a wrong one
        (["x", "x", "y"], ["x", "y", "y"], 2 / 3),
        (["The Coat"], ["coat"], 1.0),
        ([None, "red"], ["red", None, None], 1.0),  # absent goals are no elements
        ([None], [None], 1.0),
        ([None], ["red"], 0.0),
        (["50 %", "1,000"], ["1000", "50%"], 1.0),
    ],
)
def test_set_f1(predicted, gold, value):
    assert set_f1(predicted, gold) == pytest.approx(value)


def test_linked_f1_wants_the_right_pairing():
    gold = (Edit("recolor", "coat", "red"), Edit("recolor", "hair", "blue"))
    crossed = (Edit("recolor", "coat", "blue"), Edit("recolor", "hair", "red"))
    assert linked_f1(gold[::-1], gold) == 1.0
    assert linked_f1(crossed, gold) == 0.0
    assert linked_f1(gold[:1], gold) == pytest.approx(2 / 3)
    assert linked_f1(None, gold) == 0.0
    assert linked_f1((), ()) == 1.0
    assert linked_f1((Edit("remove", "coat", None),), (Edit("remove", "coat", "none"),)) == 0.0


def test_three_perfect_sets_in_the_wrong_pairing_are_not_full():
    gold = (Edit("recolor", "star", "red"), Edit("recolor", "moon", "blue"), Edit("remove", "tree"))
    goals = (Edit("recolor", "star", "blue"), Edit("recolor", "moon", "red"), Edit("remove", "tree"))
    subjects = (Edit("recolor", "tree", "red"), Edit("recolor", "moon", "blue"), Edit("remove", "star"))
    assert paired_f1s(gold[::-1], gold) == (1.0, 1.0, 1.0)
    assert paired_f1s(goals, gold) == (1.0, 1.0, pytest.approx(1 / 3))
    assert paired_f1s(subjects, gold) == (1.0, pytest.approx(1 / 3), 1.0)
    # anything else is set F1, as in the paper
    other = (Edit("recolor", "star", "blue"), Edit("move", "moon", "red"))
    assert paired_f1s(other, gold) == (pytest.approx(2 / 5), pytest.approx(4 / 5), 1.0)


@given(edits, edits)
def test_paired_values_are_those_of_the_sets_unless_the_sets_agree(left, right):
    values = paired_f1s(left, right)
    sets = [
        set_f1([getattr(e, n) for e in left], [getattr(e, n) for e in right]) for n in ("action", "subject", "goal")
    ]
    assert all(v <= s for v, s in zip(values, sets, strict=True))
    assert (values == (1.0, 1.0, 1.0)) == bool(exact_match(left, right))
    if min(sets) < 1.0 and sets[:2] != [1.0, 1.0]:
        assert list(values) == sets


def test_soft_f1_gives_partial_credit():
    assert similarity("red star", "blue star") == pytest.approx(0.5)
    assert soft_set_f1(["red star"], ["blue star"]) == pytest.approx(0.5)
    assert soft_set_f1(["red star", "moon"], ["moon", "blue star"]) == pytest.approx((0.5 + 1) * 2 / 4)
    # the best assignment, not the first one: star-big star 2/3, star-star 1, big star-big star 1
    assert soft_set_f1(["star", "big star"], ["big star", "star"]) == 1.0


@given(lists, lists)
def test_range_symmetry_and_zero_for_nothing_shared(left, right):
    for f1 in (set_f1, soft_set_f1):
        assert 0.0 <= f1(left, right) <= 1.0
        assert f1(left, right) == pytest.approx(f1(right, left))
        assert f1(left, left) == 1.0
    assert soft_set_f1(left, right) >= set_f1(left, right) - 1e-12


@given(lists, lists, st.randoms())
def test_order_does_not_matter(left, right, random: Random):
    mixed = list(left)
    random.shuffle(mixed)
    assert set_f1(mixed, right) == set_f1(left, right)
    assert soft_set_f1(mixed, right) == pytest.approx(soft_set_f1(left, right))


@given(lists.filter(bool), lists)
def test_a_wrong_item_never_raises_it(gold, predicted):
    assert set_f1([*predicted, "zebra"], gold) <= set_f1(predicted, gold)
    assert soft_set_f1([*predicted, "zebra"], gold) <= soft_set_f1(predicted, gold) + 1e-12


@given(edits, edits)
def test_exact_is_one_where_linked_is_one(left, right):
    assert exact_match(left, right) == float(linked_f1(left, right) == 1.0)
    assert 0.0 <= linked_f1(left, right) <= 1.0
    assert linked_f1(left, right) == linked_f1(right, left)
    assert linked_f1(left[::-1], right) == linked_f1(left, right)
    wrong = [*left, Edit("zoom", "zebra")]
    assert not right or linked_f1(wrong, right) <= linked_f1(left, right)
