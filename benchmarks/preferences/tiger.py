"""`tiger`: TIGER-Lab/EditReward-Bench (arXiv 2509.26346). EditScore/EditReward-Bench is another set with the same name.

One row is one comparison; a group of K edits of one request has K (K − 1) / 2 rows, whose ids begin alike up to the first
"_" (TIGER-AI-Lab/EditReward @8460288, inference_3pair_hf.py). `comparison_type` ("AvsC") says which edits candidate_1 and
candidate_2 are; `ranking` names them by those letters ("A>C", "C>A", "A=C") or, in every row, by A and B.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.item import Card, Item
from benchmarks.options import BenchmarkOptions
from benchmarks.preferences.base import GROUPS, TIE, A, B, EditCandidate, PreferenceGroup, PreferencePair, PreferenceSet
from benchmarks.sampling import describe_sampling, take
from benchmarks.schema import PICTURE, TEXT, Column, optional
from benchmarks.tables import Table, open_table
from common.errors import BadData, BadInput

CARD = Card(
    name="tiger",
    title="EditReward-Bench of TIGER-Lab",
    source="TIGER-Lab/EditReward-Bench",
    paper="arXiv 2509.26346",
    licence="Apache-2.0",
    split="train",
    size="484 groups (186 of two, 150 of three, 148 of four edits), 1,524 comparisons, 2.9 GB",
    sampling="all groups",
    get=(
        "gated: accept its conditions on huggingface.co/datasets/TIGER-Lab/EditReward-Bench, then `hf auth login` or HF_TOKEN; "
        "a copy of its folders 2pair/, 3pair/, 4pair/ goes in as path"
    ),
    notes=(
        "A group counts only where all its comparisons are right (by chance 25.81 / 11.33 / 1.35 % for 2 / 3 / 4 edits).",
        "The published numbers choose the tie threshold on the set itself; here it is 0, or chosen on the other half.",
    ),
)
PARTS = ("2pair", "3pair", "4pair")
COLUMNS: dict[str, Column] = {
    "id": TEXT,
    "instruction": TEXT,
    "source_image": PICTURE,
    "candidate_1": PICTURE,
    "candidate_2": PICTURE,
    "ranking": TEXT,
    "comparison_type": optional(TEXT),
    "dataset": optional(TEXT),
    "model_1": optional(TEXT),
    "model_2": optional(TEXT),
}
_TYPE = re.compile(r"\s*([A-D])\s*vs\.?\s*([A-D])\s*", re.IGNORECASE)
_RANKING = re.compile(r"\s*([A-D])\s*([<>=])\s*([A-D])(?:\s*=\s*(?:good|bad))?\s*", re.IGNORECASE)
_TURNED = {">": (A, B), "<": (B, A), "=": (TIE, TIE)}


def load(options: BenchmarkOptions) -> PreferenceSet:
    """All groups in the order of their first rows. Options: path, hub, revision, config, samples (groups), seed.

    Raises MissingFile (gated, nothing there), BadData naming the row or group that is not as published.
    """
    groups: list[PreferenceGroup] = []
    for part, table in _tables(options):
        ids, kinds = table.column("id"), table.column("dataset")
        rows: dict[tuple[str, str], list[int]] = {}
        for i, row_id in enumerate(ids):
            prefix = row_id.split("_")[0] if "_" in row_id else row_id[:10]
            rows.setdefault((kinds[i] or part, prefix), []).append(i)
        groups += [_group(table, kind, prefix, of) for (kind, prefix), of in rows.items()]
    chosen = take(groups, options.samples, options.seed)
    sampling = describe_sampling(options.samples, len(groups), options.seed, "groups")
    return PreferenceSet(replace(CARD, sampling=sampling), tuple(chosen), GROUPS)


def _tables(options: BenchmarkOptions) -> list[tuple[str, Table]]:
    """The three parts where they lie in folders of their own, else the one table."""
    root = Path(options.path).expanduser() if options.path else None
    if root is not None and not options.config and (parts := [p for p in PARTS if (root / p).is_dir()]):
        return [(p, open_table(CARD, replace(options, path=str(root / p)), COLUMNS)) for p in parts]
    if root is not None or options.config:
        return [(options.config, open_table(CARD, options, COLUMNS))]
    try:
        return [("", open_table(CARD, options, COLUMNS))]
    except BadInput:  # the Hub wants one of its configurations to be named: they are the parts
        return [(p, open_table(CARD, replace(options, config=p), COLUMNS)) for p in PARTS]


def _group(table: Table, kind: str, prefix: str, rows: Sequence[int]) -> PreferenceGroup:
    name = f"{kind}-{prefix}" if kind else prefix
    types, rankings = table.column("comparison_type"), table.column("ranking")
    shown = {i: _letters(table, i, types[i], len(rows)) for i in rows}
    letters = sorted({letter for pair in shown.values() for letter in pair})
    seen = {frozenset(pair) for pair in shown.values()}
    pairs_needed = len(letters) * (len(letters) - 1) // 2
    if len(seen) != len(rows) or len(rows) != pairs_needed:
        raise BadData(
            f"{CARD.name}: {table.where}: group {name!r} has {len(rows)} rows for {len(seen)} different comparisons of "
            f"{len(letters)} edits, where {pairs_needed} belong; are rows missing? How to get it: {CARD.get}"
        )
    first: dict[str, tuple[int, int]] = {}  # letter -> (row, side) where its picture is
    for i in rows:
        for side, letter in enumerate(shown[i], 1):
            first.setdefault(letter, (i, side))
    models = {side: table.column(f"model_{side}") for side in (1, 2)}
    candidates = tuple(
        EditCandidate(f"{name}/{c}", table.needed(i, f"candidate_{side}"), models[side][i] or "")
        for c, (i, side) in ((c, first[c]) for c in letters)
    )
    place = {c: k for k, c in enumerate(letters)}
    pairs = tuple(
        PreferencePair(place[shown[i][0]], place[shown[i][1]], _human(table, i, rankings[i], shown[i])) for i in rows
    )
    request = table.column("instruction")[rows[0]]
    item = Item(id=name, request=request, gold=(), kind=kind, source=table.needed(rows[0], "source_image"))
    return PreferenceGroup(name, item, candidates, pairs, kind=f"{len(letters)}-way", cluster=name)


def _letters(table: Table, i: int, comparison: str | None, rows: int) -> tuple[str, str]:
    if comparison is None:
        if rows == 1:
            return "A", "B"
        raise BadData(
            f"{CARD.name}: {_at(table, i)}: a group of {rows} comparisons needs the column 'comparison_type' (AvsB, AvsC, "
            f"...). How to get it: {CARD.get}"
        )
    if not (match := _TYPE.fullmatch(comparison)):
        raise BadData(
            f"{CARD.name}: {_at(table, i)}, column 'comparison_type': expected e.g. AvsB, found {comparison!r:.80}"
        )
    return match[1].upper(), match[2].upper()


def _human(table: Table, i: int, comparison: str, shown: tuple[str, str]) -> str:
    """a where candidate_1 is preferred, b where candidate_2 is."""
    match = _RANKING.fullmatch(comparison)
    named = (match[1].upper(), match[3].upper()) if match else ("", "")
    for one, two in (shown, ("A", "B")):
        if match and named in ((one, two), (two, one)):
            return _TURNED[match[2]][named != (one, two)]
    raise BadData(
        f"{CARD.name}: {_at(table, i)}, column 'ranking': expected A>B, B>A or A=B (or the letters {shown[0]} and {shown[1]}), "
        f"found {comparison!r:.80}"
    )


def _at(table: Table, i: int) -> str:
    return f"{table.where}, row {table.number(i)}"


__all__ = ["CARD", "load"]
