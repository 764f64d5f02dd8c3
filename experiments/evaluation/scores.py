"""results.json of an evaluation: every number that a table or the page shows, with n, invalid and what is still missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.item import EVERYTHING
from common.jsonl import read_jsonl
from common.statistics import Cell, holm_adjusted, macro, micro, paired
from experiments.evaluation.listing import Listed
from experiments.evaluation.load import OVERALL, Column, Section
from experiments.evaluation.means import aspect_means, average, cell, clusters_of, decomposition_scores, last_turns
from experiments.evaluation.names import EXTRA_ARMS, arm_name, arm_order
from experiments.evaluation.rows import fine
from judges.invalid import too_many_invalid as exceeds_share
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
        or any(len(s.edits[arm]) < s.total for s in sections for arm in s.arms)
        or any(len(rows) < s.total for s in sections for rows in s.decompositions.values()),
        **decomposition_section(sections, (about or {}).get("benchmark")),
        "arms": arms_section(sections, judges),
        "table": table(sections, judges),
        "judges": judges,
        "metrics": {s.name: metrics_section(s) for s in sections if s.metrics},
        "cost": {s.name: cost_section(s) for s in sections},
        "benchmarks": {s.name: benchmark_section(s) for s in sections},
        "made_from": made_from,
    }


def column_scores(section: Section, column: Column) -> dict[str, Any]:
    aspects = column.aspects()
    items, own = section.listing.items, section.listing.card.mean
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
            "too_many_invalid": too_many_invalid(column, len(items), len(rows), bad),
            "overall": means[OVERALL],
            "aspects": means,  # by the benchmark's own mean
            "micro": micro_means[OVERALL],
            "macro": means[OVERALL] if own == "macro" else cell(items, rows, OVERALL, "macro").as_dict(),
            **split(items, rows, OVERALL, own),
            "subsets_micro": subsets(items, rows, OVERALL, "micro") if own != "micro" else {},
            "aspects_by": {a: split(items, rows, a, own) for a in aspects if a != OVERALL},
        }
    return {
        "title": column.title,
        "judge": {k: v for k, v in column.claim.items() if k != "label"},
        "aspects": aspects,
        "arms": arms,
        "differences": differences(section, column),
    }


def too_many_invalid(column: Column, total: int, judged: int, invalid: int) -> bool:
    """Whether an arm is judged to its end and more verdicts are invalid than the judge allows: what is left would be a biased
    mean, which is no result."""
    return judged == total and exceeds_share(invalid, total, column.claim.get("max_invalid_share", 1.0))


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
    items = last_turns(section.listing.items) if mean == "final" else section.listing.items
    total, bad = len(section.listing.items), set[str]()
    arms = column_arms(section, column)
    for arm in arms:
        rows = column.rows[arm].values()
        if too_many_invalid(column, total, len(rows), sum(not r["valid"] for r in rows)):
            bad.add(arm)
    pairs, found = [], []
    for first, second in combinations(arms, 2):
        two = column.rows[first], column.rows[second]
        both = [i for i in items if all(i.key in r for r in two)]
        values = [[r[i.key]["scores"].get(OVERALL) if r[i.key]["valid"] else None for i in both] for r in two]
        kinds = [i.kind for i in both] if mean == "macro" else None
        gap = paired(*values, kinds=kinds, clusters=clusters_of(both), missing=len(items) - len(both))
        pairs.append((first, second))
        found.append(gap)
    return [
        {"first": a, "second": b, **d.as_dict(), **({"too_many_invalid": True} if {a, b} & bad else {})}
        for (a, b), d in zip(pairs, holm_adjusted(found) if found else [], strict=True)
    ]


def column_arms(section: Section, column: Column) -> list[str]:
    """The arms of a judge's column: those with pictures, and those that are derived from its verdicts."""
    return [arm for arm in section.scored_arms if arm in column.rows]


def arms_section(sections: Sequence[Section], judges: Mapping[str, Any]) -> dict[str, Any]:
    """Means over judges whose verdicts are all there, no more of them invalid than allowed; a benchmark of which nothing is
    complete is left out. `n` counts what was judged, the `invalid` among it (a cell's `n` counts the valid alone)."""
    out: dict[str, Any] = {}
    for section in sections:
        for arm in section.scored_arms:
            done = {c.label: judges[section.name][c.label]["arms"][arm] for c in section.columns if arm in c.rows}
            done = {
                label: a
                for label, a in done.items()
                if not (a["partial"] or a["too_many_invalid"]) and a["overall"]["value"] is not None
            }
            if not done:
                out.setdefault(arm, {})
                continue
            shared = [n for n in next(iter(done.values()))["aspects"] if all(n in a["aspects"] for a in done.values())]
            means = {label: arm_means(section, label, arm, a) for label, a in done.items()}
            values = {n: average([m[n] for m in means.values()]) for n in shared}
            counts = {k: max(a[k] for a in done.values()) for k in ("n", "invalid")}
            more = {"calls": calls_of(section, arm)} if arm.rpartition("/")[2] in EXTRA_ARMS else {}
            out.setdefault(arm, {})[section.name] = values | counts | more | {"judges": sorted(done)}
    return out


def arm_means(section: Section, label: str, arm: str, entry: Mapping[str, Any]) -> dict[str, float]:
    """An arm's mean of every aspect by one judge. On the benchmarks that runs train on it is summed in the order of the items, as
    a run's results always were; on the others it is the cell's, whose sum is exact. They differ in the last bit at most."""
    if section.listing.card.trainable:
        (column,) = (c for c in section.columns if c.label == label)
        return aspect_means(list(column.rows[arm].values()))
    return {name: cell["value"] for name, cell in entry["aspects"].items()}


def calls_of(section: Section, arm: str) -> float:
    """How many calls of the editor alone an item has, on average."""
    variants = section.columns[0].variants[arm.rpartition("/")[0]]
    return average([len(several) for several in variants.values()])


def decomposition_section(sections: Sequence[Section], benchmark: str | None) -> dict[str, Any]:
    """Of the last command's benchmark, or of the first that has decompositions; nothing where there are none."""
    scored = sorted((s for s in sections if s.decompositions), key=lambda s: s.name != benchmark)
    if not scored:
        return {}
    rows = {when: decomposition_rows(scored[0], when) for when in scored[0].decompositions}
    last = rows.get("after") or rows["before"]
    return {
        "decomposition": decomposition_scores(rows),
        "n": len(last),
        "unreadable": average([float(r["error"] is not None) for r in last]),
    }


def decomposition_rows(section: Section, when: str) -> list[dict[str, Any]]:
    """The rows in the order of the items, each with its item's request and kind."""
    rows = section.decompositions.get(when, {})
    return [
        {**rows[i.key], "i": n, "kind": i.kind, "request": i.request}
        for n, i in enumerate(section.listing.items)
        if i.key in rows
    ]


def times(folder: Path) -> dict[str, float]:
    """Seconds of training and of evaluation, over all processes that worked in the folder."""
    timing = [row for path in sorted(folder.glob("timing*.jsonl")) for row in read_jsonl(path)]
    path = folder / "metrics.jsonl"
    steps = read_jsonl(path) if path.is_file() else []
    grpo = sum(r.get("time/step", 0.0) + r.get("time/checkpoint", 0.0) for r in steps)
    sft = sum(r["seconds"] for r in timing if r["phase"] == "sft")
    evaluate = sum(r["seconds"] for r in timing if r["phase"] != "sft")
    return {"train": round(grpo + sft, 3), "evaluate": round(evaluate, 3)}


def table(sections: Sequence[Section], judges: Mapping[str, Any]) -> dict[str, Any]:
    """The paper's layout (arXiv 2603.08059): a row for each arm, a column for each benchmark and judge, and the mean of a
    row's columns. The mean is only there where every column is complete and within its share of invalid verdicts, so that
    no two rows average different things."""
    columns = [
        {"benchmark": s.name, "judge": c.label, "title": c.title, "mean": s.listing.card.mean}
        for s in sections
        for c in s.columns
    ]
    arms = sorted({arm for s in sections for arm in s.scored_arms}, key=arm_order)
    rows = []
    for arm in arms:
        cells = []
        for column in columns:
            found = judges[column["benchmark"]][column["judge"]]
            entry = found["arms"].get(arm)
            if entry is None:
                cells.append(Cell.empty().as_dict() | {"absent": True})
                continue
            cells.append(entry["overall"] | ({"too_many_invalid": True} if entry["too_many_invalid"] else {}))
        rows.append({"arm": arm, "name": arm_name(arm), "cells": cells, "average": row_mean(cells)})
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
    out: dict[str, Any] = {"mean": own, "arms": {}, "drift": {}}
    items = last_turns(section.listing.items) if own == "final" else section.listing.items
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


__all__ = ["arms_section", "column_scores", "decomposition_rows", "row_mean", "scores", "table", "times"]
