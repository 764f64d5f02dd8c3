"""`csv`: one's own comparisons in a CSV (or TSV, JSONL), a row each.

id            unique name
instruction   what was asked for
source, candidate_a, candidate_b    pictures, paths relative to the file; may be absent where score_a, score_b are given
human         a | b | tie | tie_good | tie_bad; or instead
rater_1, ...  the same of each rater (empty: did not vote): the human label is what more than half say, else tie
model_a, model_b    optional: who made the edits, for the self-preference check
score_a, score_b    optional: a judge's scores, used with scores=csv (empty: that judge's verdict was invalid)
kind          optional: task type
cluster       optional: rows that share a request, kept together where intervals are made; rows that are the same comparison
              under several ids always are, with a note (benchmarks/preferences/repeats.py)
gold          optional: the wanted edits as JSON, [["recolor", "red circle", "blue"], ...], which judge=sandbox needs
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.base import Edit
from benchmarks.item import Card, Item
from benchmarks.options import BenchmarkOptions
from benchmarks.pictures import PictureFile
from benchmarks.preferences.base import (
    LABELS,
    PAIRS,
    EditCandidate,
    PreferenceGroup,
    PreferencePair,
    PreferenceSet,
    majority,
)
from benchmarks.preferences.repeats import PreferenceRow, join_repeats
from benchmarks.rows import read_rows
from benchmarks.sampling import describe_sampling, take
from benchmarks.values import path_in, shown
from common.errors import BadData, MissingFile

CARD = Card(
    name="csv",
    title="one's own comparisons",
    source="",
    paper="",
    licence="not stated",
    split="",
    size="as many rows as the file has",
    sampling="all rows",
    get=(
        "give path=<a CSV with the columns id, instruction, source, candidate_a, candidate_b and human (or rater_1, rater_2, "
        "...)>; optional: model_a, model_b, score_a, score_b, kind, cluster, gold"
    ),
)
COLUMNS = (
    *("id", "instruction", "source", "candidate_a", "candidate_b", "human"),
    *("model_a", "model_b", "score_a", "score_b", "kind", "cluster", "gold"),
)
PICTURES = ("source", "candidate_a", "candidate_b")
RATER = "rater"


def load(options: BenchmarkOptions) -> PreferenceSet:
    """All rows in the order of the file. Options: path, samples (rows), seed. Raises MissingFile, BadData naming file, line
    and column."""
    if not options.path:
        raise MissingFile(f"{CARD.name}: no data were given. How: {CARD.get}")
    file = Path(options.path).expanduser()
    if file.is_dir() and (file / "preferences.csv").is_file():
        file = file / "preferences.csv"
    if not file.is_file():
        raise MissingFile(f"{CARD.name}: there is no file {file}. How: {CARD.get}")
    rows, seen = [], set[str]()
    for line, columns in read_rows(file):
        row = _row(file, line, columns)
        if row.group.id in seen:
            raise BadData(f"{file}:{line}: the id {row.group.id!r} is there twice")
        seen.add(row.group.id)
        rows.append(row)
    if not rows:
        raise BadData(f"{file}: no rows. How: {CARD.get}")
    groups, notes = join_repeats(take(rows, options.samples, options.seed))
    sampling = describe_sampling(options.samples, len(rows), options.seed, "rows")
    card = replace(CARD, source=str(file), size=f"{len(rows)} rows", sampling=sampling)
    return PreferenceSet(card, tuple(groups), PAIRS, notes=notes, labels="the labels of the file")


def _row(file: Path, line: int, columns: Mapping[str, Any]) -> PreferenceRow:
    group = _group(file, line, columns)
    source, a, b = (file.parent / Path(name).expanduser() if (name := _text(columns, c)) else None for c in PICTURES)
    return PreferenceRow(group, {k: v for k, v in columns.items() if k != "id"}, source, (a, b))


def _group(file: Path, line: int, row: Mapping[str, Any]) -> PreferenceGroup:
    where = f"{file}:{line}"
    unknown = [c for c in row if c not in COLUMNS and not c.startswith(RATER)]
    if unknown:
        raise BadData(f"{where}: unknown column {unknown[0]!r}; the columns are {', '.join(COLUMNS)}, {RATER}_1, ...")
    missing = [c for c in ("id", "instruction") if not _text(row, c)]
    if missing:
        raise BadData(f"{where}: no value in column {missing[0]!r}. How: {CARD.get}")
    name = _text(row, "id")
    scores = [_score(where, row, f"score_{side}") for side in "ab"]
    scored = any(f"score_{side}" in row for side in "ab")
    files = {c: _picture(file, where, row, c, not scored) for c in PICTURES}
    votes = tuple(_label(where, c, str(row[c])) for c in row if c.startswith(RATER) and row[c] not in (None, ""))
    if _text(row, "human"):
        human = _label(where, "human", _text(row, "human"))
    elif votes:
        human = majority(votes)
    else:
        raise BadData(f"{where}: no value in column 'human' and no vote in {RATER}_1, ... How: {CARD.get}")
    request = _text(row, "instruction")
    item = Item(id=name, request=request, gold=_gold(where, row), kind=_text(row, "kind"), source=files["source"])
    candidates = tuple(
        EditCandidate(
            _key(name, side, request, _text(row, "source"), _text(row, f"candidate_{side}")),
            files[f"candidate_{side}"],
            _text(row, f"model_{side}"),
            score,
        )
        for side, score in zip("ab", scores, strict=True)
    )
    cluster = _text(row, "cluster") or name
    return PreferenceGroup(
        name, item, candidates, (PreferencePair(0, 1, human, votes),), _text(row, "kind"), cluster=cluster
    )


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    return "" if value is None else str(value).strip()


def _label(where: str, column: str, text: str) -> str:
    if (label := text.strip().lower()) not in LABELS:
        raise BadData(f"{where}, column {column!r}: expected one of {', '.join(LABELS)}, found {shown(text)}")
    return label


def _score(where: str, row: Mapping[str, Any], column: str) -> float | None:
    if not (text := _text(row, column)):
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadData(f"{where}, column {column!r}: expected a number or nothing, found {shown(text)}")
    return value


def _picture(file: Path, where: str, row: Mapping[str, Any], column: str, needed: bool) -> PictureFile | None:
    name = _text(row, column)
    if not name:
        if needed:
            raise BadData(f"{where}: no value in column {column!r}. How: {CARD.get}")
        return None
    path = file.parent / path_in(name, f"{where}, column {column!r}")
    if not path.is_file():
        raise MissingFile(f"{where}, column {column!r}: there is no picture {path}")
    return PictureFile(path, f"{where}, column {column!r}")


def _gold(where: str, row: Mapping[str, Any]) -> tuple[Edit, ...]:
    cell = row.get("gold")
    if cell in (None, ""):
        return ()
    try:
        edits = json.loads(cell) if isinstance(cell, str) else cell
        return tuple(Edit(str(action), str(subject), goal) for action, subject, goal in edits)
    except (ValueError, TypeError) as error:
        raise BadData(
            f"{where}, column 'gold': expected JSON [[action, subject, goal], ...], found {shown(cell)}"
        ) from error


def _key(name: str, side: str, request: str, source: str, candidate: str) -> str:
    """The same edit of the same request in several rows is judged once."""
    if not candidate:
        return f"{name}/{side}"
    return hashlib.sha256("\0".join((request, source, candidate)).encode("utf-8", "surrogatepass")).hexdigest()[:20]


__all__ = ["CARD", "COLUMNS", "load"]
