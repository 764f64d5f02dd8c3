"""Text on pictures in any script: each character in the first font that has it, broken into lines of a given width."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont


def wrapped(text: str, width: int, size: int, bold: bool = False) -> list[str]:
    """`text` in lines of at most `width` pixels, broken at blanks, and inside what is longer than a line."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in _words(paragraph):
            if line and length(line + word.rstrip(), size, bold) > width:
                lines.append(line.rstrip())
                line = ""
            while length(word.rstrip(), size, bold) > width and len(word) > 1:
                cut = next(k for k in range(len(word) - 1, 0, -1) if k == 1 or length(word[:k], size, bold) <= width)
                lines.append(word[:cut])
                word = word[cut:]
            line += word
        lines.append(line.rstrip())
    return lines


def draw(
    canvas: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: str, bold: bool = False
) -> None:
    """One line, its top left corner at `at`."""
    x, y = at
    for font, run in _runs(text, size, bold):
        canvas.text((x, y + size), run, fill=colour, font=font, anchor="ls")
        x += font.getlength(run)


def length(text: str, size: int, bold: bool = False) -> float:
    """Pixels."""
    return sum(font.getlength(run) for font, run in _runs(text, size, bold))


def _words(text: str) -> Iterator[str]:
    """Each with the blanks behind it."""
    start = 0
    for k in range(1, len(text)):
        if text[k - 1] == " " and text[k] != " ":
            yield text[start:k]
            start = k
    yield text[start:]


def _runs(text: str, size: int, bold: bool) -> Iterator[tuple[Font, str]]:
    """Neighbouring characters of one font together."""
    run, own = "", None
    for char in text:
        path = own if own is not None and (char == " " or ord(char) in _characters(own)) else _font_of(char, bold)
        if path != own and run and own is not None:
            yield _font(own, size), run
            run = ""
        own, run = path, run + char
    if run and own is not None:
        yield _font(own, size), run


@lru_cache(maxsize=4096)
def _font_of(char: str, bold: bool) -> str:
    """The file of the first font that has the character; the first font, which draws a box, where none has."""
    own = _own_fonts(bold)
    if any(ord(char) in _characters(path) for path in own[:1]) or not char.isprintable():
        return own[0]
    return next((path for path in (*own, *_installed()) if ord(char) in _characters(path)), own[0])


@lru_cache(maxsize=2)
def _own_fonts(bold: bool) -> tuple[str, ...]:
    """Those that matplotlib brings along, so that every machine has them."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    names = ("DejaVuSans-Bold.ttf", "DejaVuSans.ttf") if bold else ("DejaVuSans.ttf",)
    return tuple(str(folder / name) for name in names)


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    from matplotlib.font_manager import findSystemFonts

    return tuple(sorted(findSystemFonts()))


@lru_cache(maxsize=256)
def _characters(path: str) -> frozenset[int]:
    """The code points that a font has; none where it cannot be used at any size."""
    from matplotlib.ft2font import FT2Font

    try:
        _font(path, 16)
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@lru_cache(maxsize=64)
def _font(path: str, size: int) -> Font:
    return ImageFont.truetype(path, size)


def blank(size: tuple[int, int], colour: str = "white") -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty picture and what draws on it."""
    image = Image.new("RGB", size, colour)
    return image, ImageDraw.Draw(image)


__all__ = ["blank", "draw", "length", "wrapped"]
