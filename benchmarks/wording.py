"""The form in which two items (actions, subjects, goals) are compared: the one place of it, for rewards, rules and readers."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

ARTICLES = frozenset({"a", "an", "the"})
_APOSTROPHES = re.compile(r"(?<=\w)['’](?=\w)")  # dog's -> dogs, not "dog s"
# Kept in numbers: 1.5  16:9  3/4  -3  +1  50%. Everything else of these categories becomes a space.
_IN_NUMBER = re.compile(r"(?<=\d)[.,:/](?=\d)|(?<!\w)[-+](?=\d)|(?<=\d)%")
_BEFORE_PERCENT = re.compile(r"(?<=\d)\s+(?=%)")  # 50 % -> 50%
_THOUSANDS = re.compile(r"(?<![\d.,:/])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")  # 1,000 -> 1000, but 0,500 and 1,0000 stay
_ASCII_SYMBOLS = frozenset("<>=^`|~+_")


@lru_cache(maxsize=65_536)
def normalise(item: str) -> str:
    """`item` without what carries no meaning: case, white space, articles, punctuation (but for that of numbers, where
    "50 %" is "50%" and "1,000" is "1000").

    An item that consists of nothing else (the label "A", the text "!?") keeps its characters, so that two such items
    do not become equal. Idempotent.
    """
    folded = _BEFORE_PERCENT.sub("", _fold(item))
    numeric = {m.start() for m in _IN_NUMBER.finditer(folded)} if any(c.isdigit() for c in folded) else set()
    plain = "".join(
        c if i in numeric or not _is_punctuation(c) else " " for i, c in enumerate(_mark_apostrophes(folded))
    )
    words = plain.replace("\0", "").split()
    kept = " ".join(w for w in words if w not in ARTICLES)
    return _THOUSANDS.sub(lambda number: number[0].replace(",", ""), kept) or " ".join(folded.split())


def _fold(text: str) -> str:
    """Unicode's caseless compatibility form, so that 'ＨＩ', 'Hi' and 'hi' are one."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", text.casefold())


def _mark_apostrophes(text: str) -> str:
    return _APOSTROPHES.sub("\0", text)  # same length, so that positions stay valid


def _is_punctuation(char: str) -> bool:
    return char in _ASCII_SYMBOLS or unicodedata.category(char).startswith("P")


__all__ = ["ARTICLES", "normalise"]
