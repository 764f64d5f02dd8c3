"""The editor alone with as many calls as the team made, so that what more calls buy is not taken for what the plan buys.

The raw request goes to the editor k times with k seeds, and every picture is judged. k is what the team after RL made on the
item (in a session: the most in one of its turns), or `editor_calls`. The pictures of variant j are an arm of their own,
`editor_calls.<j>`; two arms are derived from their verdicts: one variant by chance, and the best one by the judge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.evaluation.chains import Block, Chain
from experiments.evaluation.layout import Layout
from experiments.evaluation.rows import Row, read_rows
from experiments.evaluation.shares import Share

Scored = Mapping[str, Any]  # "scores", "valid", "reason"


def calls_made(row: Mapping[str, Any]) -> int:
    """The calls of the editor that a row of an arm stands for, at least 1; where one failed, up to that one (`agents.editing`
    stops there and says which it was)."""
    failed = re.match(r"call (\d+): ", row.get("failure") or row.get("reason") or "")
    return max(1, int(failed[1]) if failed else len(row.get("calls", ())))


def call_counts(layout: Layout, team: str, units: int, override: int | None) -> list[int]:
    """k of each unit."""
    if override is not None:
        return [override] * units
    counts = [1] * units
    for (unit, _), row in read_rows(layout.edits(team)).items():
        counts[unit] = max(counts[unit], calls_made(row))
    return counts


def variant_blocks(
    counts: Sequence[int], lengths: Sequence[int], names: Sequence[str], layout: Layout, share: Share, chunk: int
) -> list[Block]:
    """What is edited together: all variants of `chunk` units. A block of which a row is missing is made as a whole, for a kill
    may have left it between two files."""
    rows = [read_rows(layout.edits(name)) for name in names]
    blocks: list[Block] = []
    for units in share.blocks(len(counts), chunk):
        chains = {Chain(names[j], u, j): 0 for u in units for j in range(counts[u])}
        keys = ((c.variant, (c.unit, t)) for c in chains for t in range(lengths[c.unit]))
        if any(key not in rows[j] for j, key in keys):
            blocks.append(chains)
    return blocks


def by_chance(variants: Sequence[Scored]) -> Row:
    """What one of the variants picked at random scores in expectation: the mean over the valid ones."""
    valid = [v["scores"] for v in variants if v["valid"]]
    return _derived(variants, {a: sum(s[a] for s in valid) / len(valid) for a in valid[0]} if valid else {})


def best_by_judge(variants: Sequence[Scored]) -> Row:
    """The variant with the best overall, the first of several. The judge that picks is the one that scores, so this is an
    upper bound on what picking can give: a real picker does not know the score it will get."""
    valid = [v["scores"] for v in variants if v["valid"]]
    return _derived(variants, max(valid, key=lambda s: s["overall"], default={}))


def _derived(variants: Sequence[Scored], scores: Mapping[str, float]) -> Row:
    reason = "" if scores else variants[0]["reason"]
    return {"scores": dict(scores), "valid": bool(scores), "reason": reason}


__all__ = ["best_by_judge", "by_chance", "call_counts", "calls_made", "variant_blocks"]
