"""Comparisons of two edits: sides drawn at random, both orders asked, and only what both say counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from PIL import Image

from common.errors import BadInput
from judges.question import Unreadable
from judges.rubrics.pairwise import AS_GIVEN, FIRST, SECOND, SWAPPED, TIE, PairRubric, PairVerdict
from tests.rubric_items import BEFORE, REQUEST, item

ONE = Image.new("RGB", (8, 8), "blue")
TWO = Image.new("RGB", (8, 8), "yellow")
RUBRIC = PairRubric()


def verdict(rubric: PairRubric, said: Mapping[str, str], of: str = "item-1") -> PairVerdict:
    sample = replace(item(), id=of)
    asked = {q.name: q for q in rubric.questions(sample, BEFORE, ONE, TWO)}
    reply = {name: q.read(json.dumps({"reasoning": "", "better": said[name]})) for name, q in asked.items()}
    return rubric.verdict(reply, sample)


@pytest.mark.parametrize(
    ("as_given", "swapped", "winner", "consistent", "side"),
    [  # as given the first edit is A; swapped it is B
        ("A", "B", FIRST, True, ""),
        ("B", "A", SECOND, True, ""),
        ("tie", "tie", TIE, True, ""),
        ("A", "A", TIE, False, "A"),  # whatever stands on the left
        ("B", "B", TIE, False, "B"),
        ("A", "tie", TIE, False, ""),
        ("tie", "A", TIE, False, ""),
    ],
)
def test_both_orders_have_to_agree(as_given: str, swapped: str, winner: str, consistent: bool, side: str) -> None:
    got = verdict(RUBRIC, {AS_GIVEN: as_given, SWAPPED: swapped})
    assert (got.winner, got.consistent, got.favoured_side) == (winner, consistent, side)
    assert got.value == {FIRST: 1.0, TIE: 0.5, SECOND: 0.0}[winner]


def test_the_two_questions_show_the_same_pictures_on_opposite_sides() -> None:
    asked = {q.name: q for q in RUBRIC.questions(item(), BEFORE, ONE, TWO)}
    assert set(asked) == {AS_GIVEN, SWAPPED}
    given, swapped = asked[AS_GIVEN].parts, asked[SWAPPED].parts
    assert [p for p in given if isinstance(p, str)] == [p for p in swapped if isinstance(p, str)]
    assert REQUEST in given[0] and given[1::2] == ("Original:", "Result A:", "Result B:")
    assert [p for p in given if not isinstance(p, str)] == [BEFORE, ONE, TWO]
    assert [p for p in swapped if not isinstance(p, str)] == [BEFORE, TWO, ONE]


def test_sides_are_drawn_by_seed_and_id_alone() -> None:
    ids = [f"item-{i}" for i in range(2000)]
    drawn = [PairRubric(seed=3).order(replace(item(), id=i))[0] for i in ids]
    assert drawn == [PairRubric(seed=3).order(replace(item(request="another"), id=i))[0] for i in ids]
    assert drawn != [PairRubric(seed=4).order(replace(item(), id=i))[0] for i in ids]
    # a fair coin stays within 5 standard deviations: 1000 +- 5 * sqrt(2000 / 4) = 1000 +- 112
    assert 888 < drawn.count(SWAPPED) < 1112


def test_one_order_alone_is_the_one_that_was_drawn() -> None:
    rubric = PairRubric(both_orders=False)
    for i in range(20):
        sample = replace(item(), id=f"item-{i}")
        (question,) = rubric.questions(sample, BEFORE, ONE, TWO)
        assert question.name == PairRubric().order(sample)[0]
        got = verdict(rubric, {AS_GIVEN: "A", SWAPPED: "B"}, sample.id)
        assert (got.winner, got.consistent, got.favoured_side) == (FIRST, True, "")


def test_passes_need_a_majority() -> None:
    won = verdict(RUBRIC, {AS_GIVEN: "A", SWAPPED: "B"})
    lost = verdict(RUBRIC, {AS_GIVEN: "B", SWAPPED: "A"})
    torn = verdict(RUBRIC, {AS_GIVEN: "A", SWAPPED: "A"})
    assert RUBRIC.combine([won]) == won
    assert RUBRIC.combine([won, won]).consistent
    assert (RUBRIC.combine([won, won, lost]).winner, RUBRIC.combine([won, won, lost]).consistent) == (FIRST, False)
    assert RUBRIC.combine([won, lost]).winner == TIE
    assert RUBRIC.combine([won, torn, lost]).winner == TIE
    assert not RUBRIC.combine([torn, torn]).consistent
    with pytest.raises(BadInput, match="no pass"):
        RUBRIC.combine([])


def test_other_words_and_empty_requests_are_refused() -> None:
    question = RUBRIC.questions(item(), BEFORE, ONE, TWO)[0]
    with pytest.raises(Unreadable, match="none of A, B, tie"):
        question.read('{"reasoning": "", "better": "Image A is better"}')
    with pytest.raises(BadInput, match="empty request"):
        RUBRIC.questions(item(request=""), BEFORE, ONE, TWO)
