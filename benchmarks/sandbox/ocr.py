"""Reading the sandbox's pixel font back: the text whose ink and gaps explain a strip of pixels best."""

from __future__ import annotations

from functools import cache

import numpy as np

from benchmarks.sandbox.font import ADVANCE, CHARACTERS, GLYPH_HEIGHT, GLYPH_WIDTH, glyph


@cache
def _glyphs() -> np.ndarray:
    """float32[15, 37]: the ink of every character as a column; the last one is the space."""
    columns = [glyph(c).ravel() for c in CHARACTERS] + [np.zeros(GLYPH_HEIGHT * GLYPH_WIDTH, bool)]
    return np.stack(columns, 1).astype(np.float32)


def read(gain: np.ndarray, centre: int, longest: int) -> tuple[str, float]:
    """The best centred text of at most `longest` characters, and how much it gains over no text ('' gains 0).

    `gain` float[5, W]: for each pixel of the line, how much better ink explains it than no ink. As in the renderer, a
    text of n characters starts at column centre - 2 n.
    """
    best, most = "", 0.0
    for length in range(1, longest + 1):
        width = ADVANCE * length - 1
        left = centre - 2 * length
        if left < 0 or left + width > gain.shape[1]:
            continue
        columns = left + ADVANCE * np.arange(length)[:, None] + np.arange(GLYPH_WIDTH)
        slots = gain[:, columns].transpose(1, 0, 2).reshape(length, -1)
        scores = slots @ _glyphs()
        picks = scores.argmax(1)
        text = "".join((*CHARACTERS, " ")[p] for p in picks)
        total = float(scores.max(1).sum())
        if total > most and text.strip() == text:  # a blank at the ends is a shorter text
            best, most = text, total
    return best, most
