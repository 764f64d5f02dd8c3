"""CC's arithmetic: masks, grids and cosines worked by hand, and what the published layout of the tokens makes of a mask."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.base import EditSession
from benchmarks.item import Item
from judges.sessions.base import PlayedSession
from judges.sessions.detector import Box
from judges.sessions.features import Tokens
from judges.sessions.mice_consistency import (
    Consistency,
    background_mask,
    combine,
    masked_similarity,
    nearest_grid,
    nothing_to_compare,
    object_similarity,
    patch_weights,
    whole_pixels,
)
from judges.sessions.mice_turn import Turn
from tests.judges.sessions.mean_colours import MeanColours


def turn(first: Image.Image, after: Image.Image, **facts: object) -> Turn:
    values = {"unchanged_objects": ("a",), "all_objects": ("a", "b"), "bg_consistency": True} | facts
    session = EditSession("s", (Item("s-1", "edit", (), facts=values),))
    return Turn(PlayedSession(session, first, (after,)), 0)


RED, BLUE = (255, 0, 0), (0, 0, 255)
LEFT_HALF = Box(0, 0, 31, 63)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Image.Image:
    picture = Image.new("RGB", (64, 64), right)
    picture.paste(left, (0, 0, 32, 64))
    return picture


def test_a_mask_covers_what_lies_outside_of_all_boxes() -> None:
    mask = background_mask((10, 10), [Box(0, 0, 4, 9), Box(8, 8, 20, 20), Box(-5, -5, -1, -1)])
    assert [mask.getpixel(at) for at in ((0, 0), (4, 9), (5, 5), (9, 9), (7, 9))] == [0, 0, 255, 0, 255]


def test_patches_of_which_less_than_half_is_background_do_not_count() -> None:
    mask = background_mask((64, 64), [Box(0, 0, 9, 63)])  # 10 of 64 columns: the first patch of four has 10 of its 16
    weights = patch_weights(mask, 64, (4, 4)).reshape(4, 4)
    assert weights[0].tolist() == [0.0, 1.0, 1.0, 1.0] and torch.equal(weights, weights[:1].expand(4, 4))
    mask = background_mask((64, 64), [Box(0, 0, 3, 63)])
    assert patch_weights(mask, 64, (4, 4))[0] == pytest.approx(12 / 16)  # the share is kept where it is at least half


def test_the_published_grid_of_vit_l_16_is_13_by_20_and_the_right_one_16_by_16() -> None:
    assert nearest_grid(260) == (13, 20) and nearest_grid(256) == (16, 16) and nearest_grid(7) == (1, 7)


@given(st.integers(1, 600))
def test_a_grid_holds_all_tokens(tokens: int) -> None:
    rows, columns = nearest_grid(tokens)
    assert rows * columns == tokens and rows <= columns


@pytest.mark.parametrize(
    ("box", "published"),
    [(Box(0, 0, 127, 255), 0.523), (Box(64, 64, 191, 191), 0.855), (Box(0, 0, 255, 127), 0.954)],
)
def test_the_published_layout_keeps_patches_that_are_no_background(box: Box, published: float) -> None:
    """Of the patches that it keeps, by their weights, the share that is really background: left half, middle, top half."""
    mask = background_mask((256, 256), [box])
    wrong, right = patch_weights(mask, 256, (13, 20)), patch_weights(mask, 256, (16, 16))
    kept = wrong[4:]  # the first four are registers
    assert float((kept * (right == 1)).sum() / kept.sum()) == pytest.approx(published, abs=0.001)


def test_weighted_cosines_by_hand() -> None:
    a = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    b = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    assert masked_similarity(a, b, torch.tensor([1.0, 0.0])) == pytest.approx(1)
    assert masked_similarity(a, b, torch.tensor([0.0, 1.0])) == pytest.approx(-1)
    assert masked_similarity(a, b, torch.tensor([1.0, 1.0])) == pytest.approx(0)  # lengths do not count
    assert masked_similarity(a, b, torch.zeros(2)) == 0


def test_objects_by_hand_with_and_without_registers() -> None:
    cls = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    patches = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    registers = torch.tensor([[[-1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]])
    tokens = Tokens(cls, registers, patches, (1, 1))
    assert object_similarity(tokens, 0) == pytest.approx(0.5 * 0 + 0.5 * 1)
    assert object_similarity(tokens, 0, registers=True) == pytest.approx(0.5 * 0 + 0.5 * -1)


@pytest.mark.parametrize("as_published", [False, True])
def test_an_untouched_picture_scores_one(as_published: bool) -> None:
    picture = halves(RED, BLUE)
    features = MeanColours()
    score = Consistency(features, as_published).score(turn(picture, picture), [LEFT_HALF], [LEFT_HALF])
    assert score.value == pytest.approx(1) and not score.note and features.crops == [as_published]


def test_object_and_background_are_told_apart() -> None:
    first = halves(RED, BLUE)
    judge = Consistency(MeanColours())
    changed = judge.score(turn(first, halves(BLUE, BLUE)), [LEFT_HALF], [LEFT_HALF])
    assert changed.raw == {
        "objects": pytest.approx(0),
        "background": pytest.approx(1, abs=1e-4),
    } and changed.value == pytest.approx(0.5, abs=1e-4)
    behind = judge.score(turn(first, halves(RED, RED)), [LEFT_HALF], [LEFT_HALF])
    assert behind.raw == {"objects": pytest.approx(1), "background": pytest.approx(0, abs=0.01)}
    allowed = judge.score(turn(first, halves(RED, RED), bg_consistency=False), [LEFT_HALF], [LEFT_HALF])
    assert allowed.value == pytest.approx(1) and allowed.raw["background"] is None


def test_a_result_of_another_size_is_brought_to_the_firsts() -> None:
    first = halves(RED, BLUE)
    score = Consistency(MeanColours()).score(turn(first, first.resize((128, 128))), [LEFT_HALF], [LEFT_HALF])
    assert score.value == pytest.approx(1, abs=0.01)


def test_the_half_of_the_protocol_and_why() -> None:
    picture = halves(RED, BLUE)
    assert "unchanged_objects is empty" in nothing_to_compare(turn(picture, picture, unchanged_objects=()))
    assert "all_objects is empty" in nothing_to_compare(turn(picture, picture, all_objects=[" "]))
    assert nothing_to_compare(turn(picture, picture)) == ""
    judge = Consistency(MeanColours())
    nothing_found = judge.score(turn(picture, picture), [], [])
    assert nothing_found.value == 0.5 and "CC is 0.5 by rule" in nothing_found.note
    covered = judge.score(turn(picture, picture), [], [Box(0, 0, 64, 64)])
    assert covered.value == 0.5 and covered.raw["background"] is None
    assert combine(None, 0.9, False).value == 0.5  # a background that may change is no evidence
    assert combine(-0.4, None, True).value == 0 and combine(0.8, 0.6, True).value == pytest.approx(0.7)


@given(st.floats(-300, 300), st.floats(-300, 300), st.floats(-300, 300), st.floats(-300, 300))
def test_a_crop_lies_within_the_picture_or_is_none(left: float, top: float, right: float, bottom: float) -> None:
    corners = whole_pixels(Box(left, top, right, bottom), (100, 80))
    assert corners is None or (0 <= corners[0] < corners[2] <= 100 and 0 <= corners[1] < corners[3] <= 80)


def test_mean_colours_are_finite() -> None:
    tokens = MeanColours().tokens([halves(RED, BLUE)])
    assert math.isfinite(float(tokens.patches.sum())) and tokens.patches.shape == (1, 16, 3)
