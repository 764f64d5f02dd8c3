"""F1 between predicted and gold items: of sets, of linked triples, and with partial credit (arXiv 2603.08059, rewards).

All of them are in [0, 1], symmetric, and do not depend on the order of the items. Items count as often as they occur
(multisets). Both sides empty is 1.0, one side empty is 0.0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.base import Edit
from benchmarks.wording import normalise


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


def paired_f1s(predicted: Iterable[Edit], gold: Iterable[Edit]) -> tuple[float, float, float]:
    """Set F1 of the actions, of the subjects and of the goals, which cannot be full in the wrong pairing.

    Sets do not see what belongs to what: "recolor star, recolor moon" to "green, red" instead of "red, green" has three
    perfect sets. Hence, as soon as the sets agree up to a tag, that tag's value is the F1 of its items together with the
    items that they stand beside, so that all three are 1.0 only for the exact edits. A project choice: arXiv 2603.08059
    scores the sets alone.
    """
    mine, theirs = [_triple(e) for e in predicted], [_triple(e) for e in gold]
    values: list[float] = []
    for k in range(3):
        value = _f1(*(Counter(t[k] for t in triples if t[k] is not None) for triples in (mine, theirs)))
        if all(v == 1.0 for v in (*values, value)):
            value = _f1(*(Counter(t[: k + 1] for t in triples) for triples in (mine, theirs)))
        values.append(value)
    return values[0], values[1], values[2]


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


__all__ = ["exact_match", "linked_f1", "normalise", "paired_f1s", "set_f1", "similarity", "soft_set_f1"]
