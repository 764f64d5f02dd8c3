"""What training made of an editor, on held-out requests: the exact judge's aspects and the reward model's score, before and
after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.cells import Cell
from common.statistics import Difference, mean, paired

EXACT = ("overall", "request_fulfilled", "content_preserved", "image_quality")
WHEN = ("before", "after")
FILE = "editor-scores.jsonl"  # of a run
CARD = "editor-scores.json"  # how many requests its rows are of
HELD_OUT = ("test", 202)  # split and seed of the requests
Row = Mapping[str, Any]


def values(rows: Sequence[Row], when: str, what: str) -> list[float | None]:
    """Of one measure ("rrm" or an aspect), in the order of the items; None where there is none."""
    own = sorted((r for r in rows if r["when"] == when), key=lambda r: r["i"])
    return [r["rrm"] if what == "rrm" else r["scores"].get(what) for r in own]


def cell(rows: Sequence[Row], when: str, what: str) -> Cell:
    return mean(values(rows, when, what))


def change(rows: Sequence[Row], what: str) -> Difference:
    """after − before, paired over the items."""
    return paired(values(rows, "before", what), values(rows, "after", what))


def measures(rows: Sequence[Row]) -> list[str]:
    return [*EXACT, *(["rrm"] if any(r["rrm"] is not None for r in rows) else [])]


def editor_change(rows: Sequence[Row]) -> dict[str, Any]:
    """The section `editor_rl` of results.json."""
    there = [when for when in WHEN if any(r["when"] == when for r in rows)]
    out: dict[str, Any] = {
        f"exact_{a}" if a != "rrm" else a: {w: cell(rows, w, a).value for w in there} for a in measures(rows)
    }
    both = there == list(WHEN)
    cells = {a: {w: cell(rows, w, a).as_dict() for w in there} for a in measures(rows)}
    return out | {
        "n": {w: sum(r["when"] == w for r in rows) for w in there},
        "cells": cells,
        "change": {a: change(rows, a).as_dict() for a in measures(rows)} if both else {},
    }


__all__ = ["CARD", "EXACT", "FILE", "HELD_OUT", "WHEN", "cell", "change", "editor_change", "measures", "values"]
