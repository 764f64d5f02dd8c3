"""results.json of an evaluation: every number that a table or the page shows, with n, invalid and what is still missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.statistics import Cell, macro, micro
from experiments.evaluation.columns import column_scores
from experiments.evaluation.core import arms_section, decomposition_section
from experiments.evaluation.edit_counts import edits_section
from experiments.evaluation.load import Section
from experiments.evaluation.means import average, clusters_of, last_turns
from experiments.evaluation.names import arm_name, arm_order
from experiments.evaluation.rows import fine
from judges.metrics.summary import summarise_drift

DRIFT = "drift_"  # the keys of one metric with several numbers, which mean something together


def scores(sections: Sequence[Section], made_from: str = "", about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`arms.<arm>.<benchmark>` are means over the judges of what is complete (design: one format for every command);
    `judges.<benchmark>.<judge>` has every cell; `table` is the paper's: arms by benchmarks and judges, and their mean."""
    judges = {s.name: {c.label: column_scores(s, c) for c in s.columns} for s in sections}
    return {
        **(about or {}),
        "partial": any(
            a["partial"] for columns in judges.values() for c in columns.values() for a in c["arms"].values()
        )
        or any(len(s.edits[arm]) < len(s.edited_items) for s in sections for arm in s.arms)
        or any(len(rows) < s.total for s in sections for rows in s.decompositions.values()),
        **decomposition_section(sections, (about or {}).get("benchmark")),
        "arms": arms_section(sections, judges),
        "table": table(sections, judges),
        "judges": judges,
        "metrics": {s.name: metrics_section(s) for s in sections if s.metrics},
        "edits": {s.name: edits_section(s) for s in sections},
        "cost": {s.name: cost_section(s) for s in sections},
        "benchmarks": {s.name: benchmark_section(s) for s in sections},
        "made_from": made_from,
    }


def table(sections: Sequence[Section], judges: Mapping[str, Any]) -> dict[str, Any]:
    """The paper's layout (arXiv 2603.08059): a row for each arm, a column for each benchmark and judge, and the mean of a
    row's columns. The mean is only there where every column is complete and within its share of invalid verdicts, so that
    no two rows average different things."""
    columns = [
        {
            "benchmark": s.name,
            "shown": s.listing.card.data or s.name,
            "judge": c.label,
            "title": c.title,
            "mean": s.listing.card.mean,
        }
        for s in sections
        for c in s.columns
    ]
    arms = sorted({arm for s in sections for arm in s.scored_arms}, key=arm_order)
    rows = []
    for arm in arms:
        cells = []
        for column in columns:
            entry = judges[column["benchmark"]][column["judge"]]["arms"].get(arm)
            if entry is None:
                cells.append(Cell.empty().as_dict() | {"absent": True})
                continue
            cells.append(entry["overall"] | ({"too_many_invalid": True} if entry["too_many_invalid"] else {}))
        inexact = dict.fromkeys(word for s in sections for word in s.approximate(arm))
        name = arm_name(arm) + (f" (approximate: {', '.join(inexact)})" if inexact else "")
        rows.append({"arm": arm, "name": name, "cells": cells, "average": row_mean(cells)})
    return {"columns": columns, "rows": rows}


def row_mean(cells: Sequence[Mapping[str, Any]]) -> float | None:
    if not cells or any(c["value"] is None or c.get("partial") or c.get("too_many_invalid") for c in cells):
        return None
    return average([c["value"] for c in cells])


def metrics_section(section: Section) -> dict[str, Any]:
    """{arm: {metric: cell}} by the benchmark's own mean, and drift as {"drift": {arm: shares of edits that moved the whole
    picture}}. A metric that cannot be had for an item (no mask, no target) is left out there, not counted as invalid; an
    edit that left no picture is invalid in every metric that some other edit has."""
    own = section.listing.card.mean
    out: dict[str, Any] = {"shown": section.listing.card.data or section.name, "mean": own, "arms": {}, "drift": {}}
    items = last_turns(section.edited_items) if own == "final" else section.edited_items
    for arm, rows in section.metrics.items():
        names = [n for n in dict.fromkeys(n for values in rows.values() for n in values) if not n.startswith(DRIFT)]
        failed = {i.key for i in items if not fine(section.edits[arm].get(i.key, {}))}
        cells = {}
        for name in names:
            measured = [i for i in items if rows.get(i.key, {}).get(name) is not None]
            missing = sum(i.key not in failed and name not in rows.get(i.key, {}) for i in items)
            kept = (
                [i for i in items if i.key in failed or rows.get(i.key, {}).get(name) is not None] if measured else []
            )
            values = [None if i.key in failed else rows[i.key][name] for i in kept]
            clusters = clusters_of(kept)
            if own == "macro":
                cells[name] = macro(values, [i.kind for i in kept], clusters=clusters, missing=missing).as_dict()
            else:
                cells[name] = micro(values, clusters=clusters, missing=missing).as_dict()
        out["arms"][arm] = cells
        if any(n.startswith(DRIFT) for values in rows.values() for n in values):
            out["drift"][arm] = vars(summarise_drift(list(rows.values())))
    return out


def cost_section(section: Section) -> dict[str, Any]:
    edit = {arm: round(sum(r.get("seconds", 0.0) for r in rows.values()), 1) for arm, rows in section.edits.items()}
    return {"edit_seconds": edit, "judges": {c.label: dict(c.usage) for c in section.columns}}


def benchmark_section(section: Section) -> dict[str, Any]:
    listing = section.listing
    return {
        "card": vars(listing.card) | {"notes": list(listing.card.notes)},
        "config": dict(listing.config),
        "units": len({k[0] for k in listing.keys}),
        "items": len(listing.items),
        "ids": [i.id for i in listing.items],
    }


__all__ = ["row_mean", "scores", "table"]
