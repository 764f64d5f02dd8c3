"""How well sessions go: instruction following, content consistency and global awareness by turn, of every arm that played them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.cells import Cell
from common.jsonl import read_jsonl
from common.statistics import Difference, holm_adjusted, mean, paired
from experiments.evaluation.session_scores import measures
from judges.base import Verdict
from judges.sessions.base import GA, SESSION_SCORES

SCORES = "session-scores"  # folder of a run: <arm>.jsonl
OLDER = "session-scores.jsonl"  # all arms in one file, of an older version
RAW, INTENT, FULL = "raw", "intent_no_rl", "edit_r2"
TITLES = {
    RAW: "the editor on the user's words",
    INTENT: "with intents, before RL",
    "text_only": "RL of intents alone",
    "flow_only": "RL of the editor alone",
    "no_filter": "both, without the filter",
    FULL: "both (Edit-R2)",
}
Row = Mapping[str, Any]


def scores_file(folder: Path, arm: str) -> Path:
    """The rows of one arm, in the folder of a run."""
    return folder / SCORES / f"{arm}.jsonl"


def session_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of all arms of the run in `folder`."""
    files = sorted((folder / SCORES).glob("*.jsonl")) or [folder / OLDER]
    return [row for path in files if path.is_file() for row in read_jsonl(path)]


def lengths(rows: Sequence[Row]) -> list[int]:
    return sorted({r["length"] for r in rows})


def arms(rows: Sequence[Row]) -> list[str]:
    there = {r["arm"] for r in rows}
    return [name for name in TITLES if name in there] + sorted(there - set(TITLES))


def values(rows: Sequence[Row], arm: str, length: int, turn: int, score: str) -> list[float | None]:
    """One score of one turn in percent, in the order of the sessions; None where there is none."""
    own = sorted(
        (r for r in rows if r["arm"] == arm and r["length"] == length and r["turn"] == turn), key=lambda r: r["i"]
    )
    return [None if (v := r["scores"].get(score)) is None else 100 * v for r in own]


def cell(rows: Sequence[Row], arm: str, length: int, turn: int, score: str) -> Cell:
    return mean(values(rows, arm, length, turn, score))


def verdicts(rows: Sequence[Row], arm: str, length: int, kind: str = "") -> list[list[Verdict]]:
    """Of each session the verdicts on its turns, of one category or of all."""
    own: dict[int, list[Row]] = {}
    for row in rows:
        if row["arm"] == arm and row["length"] == length and (not kind or row["kind"] == kind):
            own.setdefault(row["i"], []).append(row)
    return [
        [Verdict(r["scores"], r["valid"], r["reason"]) for r in sorted(own[i], key=lambda r: r["turn"])]
        for i in sorted(own)
    ]


def gains(rows: Sequence[Row], length: int) -> dict[str, Difference]:
    """Global awareness at the last turn: the whole method − every other arm, paired over the sessions."""
    there = arms(rows)
    if FULL not in there:
        return {}
    others = [arm for arm in there if arm != FULL]
    full = values(rows, FULL, length, length, GA)
    found = [paired(values(rows, arm, length, length, GA), full) for arm in others]
    return dict(zip(others, holm_adjusted(found), strict=True))


def session_results(rows: Sequence[Row]) -> dict[str, Any]:
    """The section `sessions` of results.json; figures in percent. Sessions of the first length are those of `*_by_turn` and
    `ga_last_turn`, all lengths are in `by_length`."""
    if not rows:
        return {}
    by_length = {str(length): _of_length(rows, length) for length in lengths(rows)}
    return {**next(iter(by_length.values())), "by_length": by_length}


def _of_length(rows: Sequence[Row], length: int) -> dict[str, Any]:
    turns = range(1, length + 1)
    there = [arm for arm in arms(rows) if any(r["arm"] == arm and r["length"] == length for r in rows)]
    cells = {s: {arm: [cell(rows, arm, length, t, s) for t in turns] for arm in there} for s in SESSION_SCORES}
    later = {arm: [r for r in rows if r["arm"] == arm and r["length"] == length and r["turn"] > 1] for arm in there}
    measured = {arm: measures(verdicts(rows, arm, length)) for arm in there}
    return {
        **{f"{s}_by_turn": {arm: [c.value for c in own] for arm, own in cells[s].items()} for s in SESSION_SCORES},
        "ga_last_turn": {arm: cells[GA][arm][-1].value for arm in there},
        "cells": {s: {arm: [c.as_dict() for c in own] for arm, own in cells[s].items()} for s in SESSION_SCORES},
        "gain": {arm: d.as_dict() for arm, d in gains(rows, length).items()},
        "fallback": {arm: sum(bool(r["fallback"]) for r in own) / max(1, len(own)) for arm, own in later.items()},
        "measures": measured,
        "by_category": {
            kind: {arm: measures(verdicts(rows, arm, length, kind)) for arm in there}
            for kind in sorted({r["kind"] for r in rows})
        },
        "n": {arm: len(values(rows, arm, length, 1, GA)) for arm in there},
    }


__all__ = [
    "FULL",
    "INTENT",
    "RAW",
    "SCORES",
    "TITLES",
    "arms",
    "cell",
    "gains",
    "lengths",
    "scores_file",
    "session_results",
    "session_rows",
    "values",
    "verdicts",
]
