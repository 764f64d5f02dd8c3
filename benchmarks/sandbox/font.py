"""A 3x5 pixel font (A-Z, 0-9, space): every glyph differs from every other, so drawn text can be read back."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

GLYPH_WIDTH, GLYPH_HEIGHT, ADVANCE = 3, 5, 4  # pixels at scale 1; one empty column between letters

_ROWS = {  # five rows of three bits, as octal digits
    "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644", "G": "34553", "H": "55755",
    "I": "72227", "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555", "O": "25552", "P": "65644",
    "Q": "25563", "R": "65655", "S": "34216", "T": "72222", "U": "55557", "V": "55552", "W": "55775", "X": "55255",
    "Y": "55222", "Z": "71247", "0": "75557", "1": "26227", "2": "71747", "3": "71317", "4": "55711", "5": "74717",
    "6": "74757", "7": "71122", "8": "75757", "9": "75717", " ": "00000",
}  # fmt: skip
_ROWS["K"] = "55365"  # told from R, whose top is closed
CHARACTERS = tuple(c for c in _ROWS if c != " ")


@cache
def glyph(character: str) -> np.ndarray:
    """bool[5, 3]: where the ink is. Upper case only; unknown characters raise KeyError."""
    bits = [[(int(row) >> shift) & 1 for shift in (2, 1, 0)] for row in _ROWS[character]]
    return np.array(bits, dtype=bool)


@lru_cache(maxsize=4096)
def text_mask(text: str, scale: int = 1) -> np.ndarray:
    """bool[5*scale, (4*len-1)*scale]: the ink of a line of text; lower case is drawn as upper case."""
    text = text.upper()
    mask = np.zeros((GLYPH_HEIGHT, max(ADVANCE * len(text) - 1, 0)), dtype=bool)
    for i, character in enumerate(text):
        mask[:, i * ADVANCE : i * ADVANCE + GLYPH_WIDTH] = glyph(character)
    mask = mask.repeat(scale, 0).repeat(scale, 1)
    mask.setflags(write=False)  # cached and shared
    return mask


def is_drawable(text: str) -> bool:
    """True if the font has every character."""
    return all(c in _ROWS for c in text.upper())
