"""The sheet of an edit: the picture before, the plan's sub-requests, and the picture after, or all candidates with the one
picked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from experiments.editing.lettering import blank, draw, wrapped

if TYPE_CHECKING:
    from PIL import ImageDraw

GAP, PLAN = 24, 300  # pixels: between things, of the column with the plan
SIDE, SMALL_SIDE = 360, 260  # of the box of a picture, alone and among candidates
LARGE, TEXT, SMALL = 18, 15, 13  # heights of letters
INK, GREY, LINE, MARK = "#1c1c1c", "#6b6b6b", "#cfcfcf", "#1a7f37"
LONGEST = 600  # characters of a text that are shown


@dataclass(frozen=True)
class Shown:
    """A result and what stands below it."""

    picture: Image.Image
    caption: str
    picked: bool = False


def draw_sheet(
    before: Image.Image, request: str, plan: str, sub_requests: Sequence[str], results: Sequence[Shown]
) -> Image.Image:
    """`plan`: the heading of the sub-requests, e.g. "plan (rules)". Transparent pictures are shown over white."""
    side = SIDE if len(results) == 1 else SMALL_SIDE
    columns = min(4, math.ceil(math.sqrt(len(results))))
    rows = math.ceil(len(results) / columns)
    width = 2 * GAP + SIDE + GAP + PLAN + columns * (GAP + side)
    title = wrapped(_short(request), width - 2 * GAP, LARGE, True)
    lines = [(plan, SMALL, GREY)]
    for number, text in enumerate(sub_requests, 1):
        lines += [("", TEXT, INK)] + [(part, TEXT, INK) for part in wrapped(f"{number}. {_short(text)}", PLAN, TEXT)]
    cell = side + SMALL + GAP
    top = GAP + len(title) * int(1.4 * LARGE) + GAP
    body = max(SIDE + SMALL + GAP, rows * cell, int(1.4 * TEXT * (len(lines) + 3)))
    sheet, pen = blank((width, top + body + GAP))
    for k, line in enumerate(title):
        draw(pen, (GAP, GAP + k * 1.4 * LARGE), line, LARGE, INK, True)
    _place(sheet, pen, Shown(before, "before"), (GAP, top), SIDE)
    left = 2 * GAP + SIDE
    for k, (text, size, colour) in enumerate(lines):
        draw(pen, (left, top + k * 1.4 * TEXT), text, size, colour)
    _arrow(pen, left, top + int(1.4 * TEXT * (len(lines) + 1)), PLAN)
    left += PLAN + GAP
    for k, shown in enumerate(results):
        at = (left + k % columns * (side + GAP), top + k // columns * cell)
        _place(sheet, pen, shown, at, side)
    return sheet


def _place(sheet: Image.Image, pen: ImageDraw.ImageDraw, shown: Shown, at: tuple[int, int], side: int) -> None:
    """The picture fitted into a box of this side, its caption below it."""
    picture = fitted(over_white(shown.picture), side)
    x, y = at
    sheet.paste(picture, (x, y))
    edge = 3 if shown.picked else 1
    box = (x - edge, y - edge, x + picture.width + edge - 1, y + picture.height + edge - 1)
    pen.rectangle(box, outline=MARK if shown.picked else LINE, width=edge)
    colour = MARK if shown.picked else GREY
    draw(pen, (x, y + picture.height + 6), shown.caption, SMALL, colour, shown.picked)


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """Within a square of this side: a small picture enlarged by a whole number, so that its pixels are seen; a large one
    reduced."""
    longest = max(picture.size)
    if longest <= side:
        k = max(1, side // longest)
        return picture.resize((picture.width * k, picture.height * k), Image.Resampling.NEAREST)
    size = tuple(max(1, round(n * side / longest)) for n in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=2.0)


def over_white(picture: Image.Image) -> Image.Image:
    """RGB, where a picture is transparent the white below it."""
    if picture.mode == "RGB":
        return picture
    rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _arrow(pen: ImageDraw.ImageDraw, x: int, y: int, width: int) -> None:
    pen.line([(x, y), (x + width - 2, y)], fill=GREY, width=2)
    pen.polygon([(x + width, y), (x + width - 10, y - 5), (x + width - 10, y + 5)], fill=GREY)


def _short(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()  # bytes of a command line that are no UTF-8 cannot be drawn
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"


__all__ = ["Shown", "draw_sheet", "fitted", "over_white"]
