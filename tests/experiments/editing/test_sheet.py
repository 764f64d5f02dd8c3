"""Sheets of any picture and any text: everything is on them, nothing is stretched, every script is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from experiments.editing.lettering import blank, draw, length, wrapped
from experiments.editing.sheet import Shown, draw_sheet, fitted, over_white

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=60)


@settings(max_examples=20, deadline=None)
@given(text=TEXT, width=st.integers(60, 300))
def test_lines_fit_and_nothing_is_lost(text: str, width: int) -> None:
    lines = wrapped(text, width, 15)
    assert all(length(line, 15) <= width or len(line) == 1 for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_every_script_leaves_ink() -> None:
    for text in ("star", "звезда", "αστέρι", "→ é ñ", "把红色", "🌲"):
        image, pen = blank((200, 40))
        draw(pen, (5, 5), text, 15, "black")
        assert np.asarray(image).min() < 100, text


@given(width=st.integers(1, 900), height=st.integers(1, 900))
@settings(max_examples=30, deadline=None)
def test_a_picture_keeps_its_shape(width: int, height: int) -> None:
    shown = fitted(Image.new("RGB", (width, height)), 360)
    assert max(shown.size) <= 360 and min(shown.size) >= 1
    assert abs(shown.width / shown.height - width / height) <= 2 * max(width, height) / min(width, height) / min(
        shown.size
    )
    if max(width, height) <= 360:
        assert shown.width % width == 0 and shown.width // width == shown.height // height


@pytest.mark.parametrize("n", [1, 2, 4, 9])
def test_the_pictures_are_all_on_the_sheet(n: int) -> None:
    colours = [(20 * k + 10, 200, 255 - 20 * k) for k in range(n)]
    results = [Shown(Image.new("RGB", (64, 48), c), f"{k}", k == 0) for k, c in enumerate(colours)]
    before = Image.new("RGB", (64, 48), (1, 2, 3))
    sheet = draw_sheet(before, "make it red", "plan (rules)", ["one", "two"], results)
    pixels = np.asarray(sheet)
    for colour in [(1, 2, 3), *colours]:
        assert (pixels == colour).all(-1).sum() == pytest.approx((pixels == (1, 2, 3)).all(-1).sum(), rel=0.6), colour


def test_endless_texts_make_no_endless_sheet() -> None:
    picture = Image.new("RGB", (4, 3))
    sheet = draw_sheet(
        picture, "\udcff\x00\r\n\t" + "x" * 10_000, "plan", ["y " * 50_000] * 3, [Shown(picture, "after")]
    )
    assert sheet.height < 3000 and sheet.width < 1300


def test_transparency_is_shown_over_white() -> None:
    clear = Image.new("RGBA", (2, 2), (9, 9, 9, 0))
    assert over_white(clear).getpixel((0, 0)) == (255, 255, 255)
