"""The published rules about boxes, on boxes drawn by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.sessions.detector import Box
from judges.sessions.mice_boxes import (
    SIDES,
    Found,
    count_distinct,
    iou,
    is_gone,
    is_moved,
    lies_beyond,
    remains,
    takes_its_place,
)

SIZE = (100, 200)


def box(left: float, top: float, right: float, bottom: float, score: float = 0.5) -> Box:
    return Box(left, top, right, bottom, score)


def found(*boxes: Box, size: tuple[int, int] = SIZE) -> Found:
    return Found(boxes, size)


NOTHING = found()
WHOLE = box(0, 0, 100, 200, 0.9)
coordinates = st.integers(0, 50)
boxes = st.tuples(coordinates, coordinates, st.integers(1, 50), st.integers(1, 50)).map(
    lambda t: box(t[0], t[1], t[0] + t[2], t[1] + t[3])
)


def test_iou_is_the_covered_share() -> None:
    assert iou(box(0, 0, 10, 10), box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert iou(box(0, 0, 10, 10), box(0, 0, 10, 5)) == pytest.approx(0.5)
    assert iou(box(0, 0, 10, 10), box(10, 0, 20, 10)) == 0  # they only touch


@given(boxes, boxes)
def test_iou_is_symmetric_one_with_itself_and_within_bounds(a: Box, b: Box) -> None:
    assert iou(a, a) == pytest.approx(1)
    assert 0 <= iou(a, b) <= 1 and iou(a, b) == pytest.approx(iou(b, a))


def test_boxes_that_cover_another_count_once() -> None:
    first, nearly, other = box(0, 0, 10, 10), box(0, 0, 10, 9), box(0, 0, 10, 7)
    assert count_distinct([first, nearly]) == 1  # IoU .9
    assert count_distinct([first, other]) == 2  # IoU .7
    assert count_distinct([]) == 0
    # a chain: the middle one covers both ends, which do not cover each other; the order decides, as published
    chain = [box(0, 0, 10, 10), box(1, 0, 11, 10), box(2, 0, 12, 10)]
    assert [count_distinct(chain), count_distinct([chain[1], chain[0], chain[2]])] == [2, 1]


@given(st.lists(boxes, max_size=6))
def test_a_box_that_is_there_twice_is_no_second_object(some: list[Box]) -> None:
    assert count_distinct([*some, *some]) == count_distinct(some) <= len(some)


@pytest.mark.parametrize(
    ("direction", "shift"), [("left", (-1, 0)), ("right", (1, 0)), ("above", (0, -1)), ("below", (0, 1))]
)
def test_an_added_object_lies_three_hundredths_of_the_side_beyond(direction: str, shift: tuple[int, int]) -> None:
    reference = found(box(40, 80, 60, 120))
    for pixels, right in ((2, False), (4, True)):  # of 100 pixels in width; in height of 200, so twice as many
        x, y = shift[0] * pixels, shift[1] * pixels * 2
        assert lies_beyond(found(box(40 + x, 80 + y, 60 + x, 120 + y)), direction, reference) == right
    opposite = {"left": "right", "right": "left", "above": "below", "below": "above"}[direction]
    away = found(box(40 + 20 * shift[0], 80 + 20 * shift[1], 60 + 20 * shift[0], 120 + 20 * shift[1]))
    assert lies_beyond(away, direction, reference) and not lies_beyond(away, opposite, reference)
    assert not lies_beyond(away, "behind", reference) and not lies_beyond(away, direction.title(), reference)


def test_one_pair_of_several_is_enough() -> None:
    assert lies_beyond(found(box(70, 0, 80, 10), box(0, 0, 10, 10)), "left", found(box(40, 0, 50, 10)))


def test_pictures_of_different_sizes_are_compared_by_shares() -> None:
    large = found(box(80, 160, 120, 240), size=(200, 400))
    assert not lies_beyond(large, "right", found(box(40, 80, 60, 120)))  # the same place
    assert is_gone(found(box(40, 80, 60, 120)), large) == "the object is still where it was"


def test_what_is_removed_was_there_and_is_gone_or_elsewhere() -> None:
    there = found(box(0, 0, 20, 20))
    assert is_gone(there, NOTHING) == ""
    assert "before" in is_gone(NOTHING, NOTHING)
    assert "still" in is_gone(there, there)
    assert is_gone(there, found(box(50, 50, 70, 70))) == ""
    below, above = box(0, 0, 20, 3), box(0, 0, 20, 5)  # IoU .15 and .25
    assert is_gone(there, found(below)) == "" and is_gone(there, found(above)) != ""


def test_only_the_best_box_counts_and_the_whole_picture_is_no_finding() -> None:
    there, elsewhere = box(0, 0, 20, 20, 0.6), box(50, 50, 70, 70, 0.7)
    assert is_gone(found(there), found(there, elsewhere)) == ""  # the better one is elsewhere, as published
    assert "before" in is_gone(found(WHOLE), NOTHING)
    assert is_gone(found(there), found(WHOLE)) == ""
    assert "still" in is_gone(found(box(0, 0, 100, 20)), found(box(0, 0, 100, 20)))  # large in one direction alone


def test_a_replacement_overlaps_what_it_replaces() -> None:
    old = found(box(0, 0, 20, 20))
    assert takes_its_place(old, found(box(80, 80, 90, 90), box(19, 19, 40, 40))) == ""
    assert "overlap" in takes_its_place(old, found(box(20, 20, 40, 40)))
    assert "before" in takes_its_place(NOTHING, old) and "after" in takes_its_place(old, NOTHING)


def test_what_is_moved_lies_on_the_named_side_and_nothing_becomes_more_or_fewer() -> None:
    left, right, far = box(0, 0, 10, 10), box(50, 0, 60, 10), box(80, 0, 90, 10)
    reference = (found(right), found(right))
    assert is_moved((found(far), found(left)), "left", reference) == ""
    assert "lie" in is_moved((found(far), found(left)), "right", reference)
    assert "lie" in is_moved((found(far), found(left)), "above", reference)  # the same height
    assert "object" in is_moved((found(far), found(left, far)), "left", reference)
    assert "reference" in is_moved((found(far), found(left)), "left", (found(right), NOTHING))
    assert "not found" in is_moved((NOTHING, NOTHING), "left", reference)
    assert is_moved((found(far, far), found(left)), "left", reference) == ""  # twice the same box is one object
    assert (
        is_moved((found(far, right), found(left, far)), "left", reference) == ""
    )  # the first box decides, as published


@given(boxes, boxes, st.sampled_from(sorted(SIDES)))
def test_no_object_lies_on_both_sides(a: Box, b: Box, direction: str) -> None:
    opposite = {"left": "right", "right": "left", "above": "below", "below": "above"}[direction]
    there = (found(a), found(a))
    ways = [is_moved(there, way, (found(b), found(b))) == "" for way in (direction, opposite)]
    assert not all(ways)


def test_what_remains_is_not_the_whole_picture() -> None:
    assert remains(found(box(0, 0, 90, 180))) and remains(found(box(0, 0, 100, 20)))
    assert not remains(found(box(0, 0, 95, 190))) and not remains(NOTHING)
    assert not remains(found(WHOLE, box(0, 0, 20, 20, 0.3)))  # the best one is
