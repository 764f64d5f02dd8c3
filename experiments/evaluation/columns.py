"""The numbers of one judge on one benchmark: every arm's means by the protocol's own rule, by kind, turn and part, and the
differences between the arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from benchmarks.item import EVERYTHING
from common.statistics import holm_adjusted, paired
from experiments.evaluation.listing import Listed
from experiments.evaluation.load import OVERALL, Column, Section
from experiments.evaluation.means import cell, clusters_of, last_turns
from experiments.evaluation.session_scores import session_scores
from judges.invalid import too_many_invalid


def column_scores(section: Section, column: Column) -> dict[str, Any]:
    aspects = column.aspects()
    items, own = section.edited_items, section.listing.card.mean
    arms = {}
    for arm in column_arms(section, column):
        rows = column.rows[arm]
        micro_means = {a: cell(items, rows, a).as_dict() for a in aspects}
        means = micro_means if own == "micro" else {a: cell(items, rows, a, own).as_dict() for a in aspects}
        bad = sum(not r["valid"] for r in rows.values())
        arms[arm] = {
            "partial": len(rows) < len(items),
            "n": len(rows),
            "invalid": bad,
            "missing": len(items) - len(rows),
            "mean": own,
            "too_many_invalid": biased(column, len(items), len(rows), bad),
            "overall": means[OVERALL],
            "aspects": means,  # by the benchmark's own mean
            "micro": micro_means[OVERALL],
            "macro": means[OVERALL] if own == "macro" else cell(items, rows, OVERALL, "macro").as_dict(),
            **split(items, rows, OVERALL, own),
            "subsets_micro": subsets(items, rows, OVERALL, "micro") if own != "micro" else {},
            "aspects_by": {a: split(items, rows, a, own) for a in aspects if a != OVERALL},
            **({"sessions": session_scores(items, rows)} if column.claim.get("sessions") else {}),
        }
    return {
        "title": column.title,
        "judge": {k: v for k, v in column.claim.items() if k != "label"},
        "aspects": aspects,
        "arms": arms,
        "differences": differences(section, column),
    }


def biased(column: Column, total: int, judged: int, invalid: int) -> bool:
    """Whether an arm is judged to its end and more verdicts are invalid than the judge allows: what is left would be a biased
    mean, which is no result."""
    return judged == total and too_many_invalid(invalid, total, column.claim.get("max_invalid_share", 1.0))


def split(items: Sequence[Listed], rows: Mapping[Any, Any], aspect: str, own: str) -> dict[str, Any]:
    """One score by kind, by turn, and by the parts that a benchmark reports on their own."""
    return {
        "by_kind": grouped(items, rows, aspect, [i.kind for i in items]),
        "by_turn": grouped(items, rows, aspect, [str(i.key[1]) for i in items]),
        "subsets": subsets(items, rows, aspect, own),
    }


def grouped(items: Sequence[Listed], rows: Mapping[Any, Any], aspect: str, labels: Sequence[str]) -> dict[str, Any]:
    """By kind or by turn, each a mean over its items; nothing where there is only one of them."""
    names = list(dict.fromkeys(labels))
    if len(names) < 2:
        return {}
    parts: dict[str, list[Listed]] = {n: [] for n in names}
    for item, label in zip(items, labels, strict=True):
        parts[label].append(item)
    return {n: cell(part, rows, aspect).as_dict() for n, part in sorted(parts.items())}


def subsets(items: Sequence[Listed], rows: Mapping[Any, Any], aspect: str, mean: str) -> dict[str, Any]:
    names = sorted({s for i in items for s in i.subsets} - {EVERYTHING})
    return {n: cell([i for i in items if n in i.subsets], rows, aspect, mean).as_dict() for n in names}


def differences(section: Section, column: Column) -> list[dict[str, Any]]:
    """Later arm − earlier arm in overall, over the items that both have; p-values of all pairs are one family. A pair of which
    one arm has too many invalid verdicts says so: it is no more a result than that arm's mean."""
    mean = section.listing.card.mean
    items = last_turns(section.edited_items) if mean == "final" else section.edited_items
    total, bad = len(section.edited_items), set[str]()
    arms = column_arms(section, column)
    for arm in arms:
        rows = column.rows[arm].values()
        if biased(column, total, len(rows), sum(not r["valid"] for r in rows)):
            bad.add(arm)
    pairs, gaps = [], []
    for first, second in combinations(arms, 2):
        two = column.rows[first], column.rows[second]
        both = [i for i in items if all(i.key in r for r in two)]
        values = [[r[i.key]["scores"].get(OVERALL) if r[i.key]["valid"] else None for i in both] for r in two]
        kinds = [i.kind for i in both] if mean == "macro" else None
        gap = paired(*values, kinds=kinds, clusters=clusters_of(both), missing=len(items) - len(both))
        pairs.append((first, second))
        gaps.append(gap)
    return [
        {"first": a, "second": b, **d.as_dict(), **({"too_many_invalid": True} if {a, b} & bad else {})}
        for (a, b), d in zip(pairs, holm_adjusted(gaps) if gaps else [], strict=True)
    ]


def column_arms(section: Section, column: Column) -> list[str]:
    """The arms of a judge's column: those with pictures, and those that are derived from its verdicts."""
    return [arm for arm in section.scored_arms if arm in column.rows]


__all__ = ["column_arms", "column_scores"]
