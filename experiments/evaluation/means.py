"""Means over the items of a benchmark, by the protocol's own rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import BadData
from common.statistics import Cell, macro, micro
from experiments.evaluation.layout import Key
from experiments.evaluation.listing import Listed
from experiments.evaluation.names import COMPONENTS, EXACT, MEAN_OF
from experiments.evaluation.rows import Row

Rows = Mapping[Key, Row]


def cell(items: Sequence[Listed], rows: Rows, aspect: str, mean: str = "micro") -> Cell:
    """Mean of a score over the items: micro over items, macro over kinds, final over the last turns of sessions. Turns of a
    session are drawn together in its interval. Items without a row are missing; a score that a protocol does not apply to an
    item is left out."""
    if mean == "final":
        items = last_turns(items)
    judged = [i for i in items if i.key in rows]
    values: list[float | None] = []
    kept = []
    for item in judged:
        row = rows[item.key]
        if not row["valid"] or aspect in row["scores"]:
            values.append(row["scores"][aspect] if row["valid"] else None)
            kept.append(item)
    clusters = clusters_of(kept)
    missing = len(items) - len(judged)
    if mean == "macro":
        return macro(values, [i.kind for i in kept], clusters=clusters, missing=missing)
    return micro(values, clusters=clusters, missing=missing)


def clusters_of(items: Sequence[Listed]) -> list[str] | None:
    """The label of each item's cluster: its session, or other items that depend on it (one picture under several requests).
    None where every item is independent of the others."""
    names = [i.cluster or i.session or i.id for i in items]
    return names if len(set(names)) < len(names) else None


def last_turns(items: Sequence[Listed]) -> list[Listed]:
    last = {i.key[0]: i for i in items}
    return list(last.values())


def aspect_means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean overall and per aspect over the valid verdicts, how many there are, and how many are invalid. Sums go in the order of
    the items. Raises BadData where none is valid."""
    valid = [r for r in rows if r["valid"]]
    if not valid:
        raise BadData(f"none of {len(rows)} verdicts is valid: there is no mean to report")
    names = ["overall", *(a for a in valid[0]["scores"] if a != "overall")]
    means = {a: average([r["scores"][a] for r in valid]) for a in names}
    return means | {"n": len(rows), "invalid": len(rows) - len(valid)}


def component_means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means of COMPONENTS, and the share of exact answers where every row has it (those of earlier versions do not)."""
    names = [*COMPONENTS, EXACT] if all(EXACT in r["scores"] for r in rows) else COMPONENTS
    return {c: average([r["scores"][c] for r in rows]) for c in names} if rows else {}


def average(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def row_f1(row: Mapping[str, Any]) -> float:
    """The headline number of one decomposition: the mean of its F1 of actions, subjects and goals."""
    return average([row["scores"][c] for c in MEAN_OF])


__all__ = [
    "aspect_means",
    "average",
    "cell",
    "clusters_of",
    "component_means",
    "last_turns",
    "row_f1",
]
