"""F1 between predicted and gold items: of sets, of linked triples, and with partial credit (arXiv 2603.08059, rewards).

All of them are in [0, 1], symmetric, and do not depend on the order of the items. Items count as often as they occur
(multisets). Both sides empty is 1.0, one side empty is 0.0.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.base import Edit

ARTICLES = frozenset({"a", "an", "the"})
_APOSTROPHES = re.compile(r"(?<=\w)['’](?=\w)")  # dog's -> dogs, not "dog s"
# Kept in numbers: 1.5  1,000  16:9  3/4  -3  +1  50%. Everything else of these categories becomes a space.
_IN_NUMBER = re.compile(r"(?<=\d)[.,:/](?=\d)|(?<!\w)[-+](?=\d)|(?<=\d)%")
_ASCII_SYMBOLS = frozenset("<>=^`|~+_")


@lru_cache(maxsize=65_536)
def normalise(item: str) -> str:
    """`item` without what carries no meaning: case, white space, articles, punctuation (but for that of numbers).

    An item that consists of nothing else (the label "A", the text "!?") keeps its characters, so that two such items
    do not become equal. Idempotent.
    """
    folded = _fold(item)
    numeric = {m.start() for m in _IN_NUMBER.finditer(folded)} if any(c.isdigit() for c in folded) else set()
    plain = "".join(
        c if i in numeric or not _is_punctuation(c) else " " for i, c in enumerate(_mark_apostrophes(folded))
    )
    words = plain.replace("\0", "").split()
    return " ".join(w for w in words if w not in ARTICLES) or " ".join(folded.split())


def set_f1(predicted: Iterable[str | None], gold: Iterable[str | None]) -> float:
    """Multiset F1 = 2·|P ∩ G| / (|P| + |G|) over normalised items; None (an absent goal) is no element."""
    return _f1(
        Counter(normalise(p) for p in predicted if p is not None),
        Counter(normalise(g) for g in gold if g is not None),
    )


def linked_f1(predicted: Iterable[Edit] | None, gold: Iterable[Edit]) -> float:
    """F1 over whole (action, subject, goal) triples: credit only for the right pairing.

    `predicted` is None where the three lists had different lengths (`Decomposition.edits`): 0.0.
    """
    if predicted is None:
        return 0.0
    return _f1(Counter(map(_triple, predicted)), Counter(map(_triple, gold)))


def exact_match(predicted: Iterable[Edit] | None, gold: Iterable[Edit]) -> float:
    """1.0 where the triples are equal as multisets after normalising, else 0.0."""
    return float(predicted is not None and Counter(map(_triple, predicted)) == Counter(map(_triple, gold)))


def soft_set_f1(predicted: Iterable[str | None], gold: Iterable[str | None]) -> float:
    """F1 with partial credit: 2·S / (|P| + |G|), S the largest sum of similarities of a one-to-one assignment."""
    left = [normalise(p) for p in predicted if p is not None]
    right = [normalise(g) for g in gold if g is not None]
    if not left or not right:
        return float(not left and not right)
    table = np.array([[similarity(p, g) for g in right] for p in left])
    rows, columns = linear_sum_assignment(table, maximize=True)
    return min(1.0, 2.0 * float(table[rows, columns].sum()) / (len(left) + len(right)))


def similarity(one: str, other: str) -> float:
    """Token overlap of two normalised items: the multiset F1 of their words; 1.0 for equal items."""
    return _f1(Counter(one.split()), Counter(other.split()))


def _f1(predicted: Counter[Any], gold: Counter[Any]) -> float:
    total = predicted.total() + gold.total()
    return 1.0 if total == 0 else 2.0 * (predicted & gold).total() / total  # type: ignore[operator]


def _triple(edit: Edit) -> tuple[str, str, str | None]:
    return (normalise(edit.action), normalise(edit.subject), None if edit.goal is None else normalise(edit.goal))


def _fold(text: str) -> str:
    """Unicode's caseless compatibility form, so that 'ＨＩ', 'Hi' and 'hi' are one."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", text.casefold())


def _mark_apostrophes(text: str) -> str:
    return _APOSTROPHES.sub("\0", text)  # same length, so that positions stay valid


def _is_punctuation(char: str) -> bool:
    return char in _ASCII_SYMBOLS or unicodedata.category(char).startswith("P")


__all__ = ["exact_match", "linked_f1", "normalise", "set_f1", "similarity", "soft_set_f1"]
