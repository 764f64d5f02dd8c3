"""Scores by kind, by turn, and by the parts that a benchmark reports on their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from common.statistics import Cell
from experiments.evaluation.names import arm_name
from experiments.reports.evaluation.cells import interval, starred
from experiments.reports.evaluation.words import aspect_name
from experiments.reports.html import table


def split_parts(names: Sequence[str], arms: Mapping[str, Any], own: str) -> list[str]:
    """Every score by kind, turn and part."""
    out: list[str] = []
    for key, what in (("by_kind", "kind"), ("by_turn", "turn"), ("subsets", "part")):
        if key == "subsets" and all(scores["subsets"] == scores["by_kind"] for scores in arms.values()):
            continue  # the same table again
        mean = f" ({own} mean)" if what == "part" else ""
        out += split_part(f"Overall by {what}{mean}", {arm: scores[key] for arm, scores in arms.items()}, what)
        if key == "subsets":
            micro = {arm: scores["subsets_micro"] for arm, scores in arms.items()}
            out += split_part("Overall by part (micro mean)", micro, what, False)
        for aspect in names[1:]:
            by_arm = {arm: scores["aspects_by"][aspect][key] for arm, scores in arms.items()}
            out += split_part(f"{aspect_name(aspect)} by {what}{mean}", by_arm, what, False)
    return out


def split_part(title: str, arms: Mapping[str, Mapping[str, Any]], what: str, shown: bool = True) -> list[str]:
    """One score of every arm by kinds, turns or parts; folded up where there are many, or it is not the first to look at."""
    groups = list(dict.fromkeys(g for scores in arms.values() for g in scores))
    if not groups:
        return []
    rows = []
    for group in groups:
        cells = [scores.get(group, Cell.empty().as_dict()) for scores in arms.values()]
        shown_name = str(int(group) + 1) if what == "turn" else group.replace("_", " ")
        rows.append(
            ([escape(shown_name) or "–", str(max(c["n"] for c in cells)), *(interval(c) for c in cells)], False)
        )
    head = [what, "n", *(arm_name(a) for a in arms)]
    notes = starred(c for scores in arms.values() for c in scores.values())
    return [f'<details{" open" if shown and len(groups) <= 12 else ""}><summary>{escape(title)}</summary>'
            f"{table(head, rows)}{notes}</details>"]  # fmt: skip


__all__ = ["split_part", "split_parts"]
