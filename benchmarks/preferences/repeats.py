"""Rows of one's own comparisons that are the same comparison under several ids, or contradict each other.

A comparison is its request, its source and its two edits, whichever of them is called a; pictures are compared by their files'
contents, rows without pictures by all their columns. Repeated rows are no further evidence: they get one cluster, so that they
are drawn together where an interval is made, and are named. Nothing is left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.preferences.base import SWAPPED, TIE, TIES, PreferenceGroup, majority

NAMED = 4  # ids in a note


@dataclass(frozen=True)
class PreferenceRow:
    """One row as it was read: its group, its columns but for the id, and the files of its pictures (None: there is none)."""

    group: PreferenceGroup
    columns: Mapping[str, Any]
    source: Path | None = None
    candidates: tuple[Path | None, Path | None] = (None, None)


class Contents:
    """What a file holds, as something to compare; only files of equal size are read."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.size = {path: path.stat().st_size for path in {p.resolve() for p in paths}}
        self.sizes = Counter(self.size.values())
        self.digests: dict[Path, str] = {}

    def of(self, path: Path) -> tuple[int, str]:
        path = path.resolve()
        size = self.size[path]
        if self.sizes[size] > 1 and path not in self.digests:
            self.digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return size, self.digests.get(path, "")


def join_repeats(rows: Sequence[PreferenceRow]) -> tuple[list[PreferenceGroup], tuple[str, ...]]:
    """The rows' groups in their order, repetitions in one cluster, and notes that name repetitions and contradictions."""
    contents = Contents(p for row in rows for p in (row.source, *row.candidates) if p is not None)
    members: dict[Hashable, list[int]] = defaultdict(list)
    labels, alike, odd = [], [], []
    for i, row in enumerate(rows):
        comparison, turned, alone = _comparison(row, contents)
        members[comparison].append(i)
        human, votes = row.group.comparisons[0].human, row.group.comparisons[0].votes
        labels.append(SWAPPED.get(human, human) if turned else human)
        if alone and human not in TIES:
            alike.append(row.group.id)
        if 2 * votes.count(most := majority(votes)) > len(votes) and _contradict([human, most]):
            odd.append(f"row {row.group.id} has the label {human}, but most of its raters say {most}")
    repeated = [where for where in members.values() if len(where) > 1]
    clusters = _joined([row.group.cluster for row in rows], repeated)
    groups = [replace(row.group, cluster=cluster) for row, cluster in zip(rows, clusters, strict=True)]
    ids = [row.group.id for row in rows]
    notes = []
    for where in repeated:
        notes.append(
            f"{len(where)} rows are the same comparison under several ids ({_listed(ids[i] for i in where)}): they count as one "
            "request where intervals are made"
        )
        if _contradict([labels[i] for i in where]):
            said = ", ".join(f"{ids[i]}: {rows[i].group.comparisons[0].human}" for i in where[:NAMED])
            notes.append(f"contradictory labels of the same comparison ({said}{_more(len(where))}); all of them count")
    if alike:
        rows_prefer = f"row {alike[0]} prefers" if len(alike) == 1 else f"{len(alike)} rows ({_listed(alike)}) prefer"
        notes.append(f"{rows_prefer} one of two equal pictures")
    return groups, tuple([*notes, *odd, *_scores(rows, contents)])


def _comparison(row: PreferenceRow, contents: Contents) -> tuple[Hashable, bool, bool]:
    """(what is compared, whether a and b are exchanged in it, whether an edit is compared with itself)."""
    request, (a, b) = row.group.item.request, row.candidates
    source = None if row.source is None else contents.of(row.source)
    if a is None or b is None:
        return ("columns", tuple(sorted((k, str(v).strip()) for k, v in row.columns.items()))), False, False
    one, other = contents.of(a), contents.of(b)
    return ("pictures", request, source, *sorted((one, other))), one > other, one == other


def _scores(rows: Sequence[PreferenceRow], contents: Contents) -> list[str]:
    """One note for every edit that has other scores in other rows."""
    found: dict[Hashable, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        source = None if row.source is None else contents.of(row.source)
        for path, candidate in zip(row.candidates, row.group.candidates, strict=True):
            if path is not None and candidate.score is not None:
                edit = (row.group.item.request, source, contents.of(path))
                found[edit].append((row.group.id, candidate.score))
    return [
        f"the same edit has other scores in other rows ({_listed(f'{row}: {score:g}' for row, score in given)}); with scores=csv "
        "every row keeps its own"
        for given in found.values()
        if len({score for _, score in given}) > 1
    ]


def _joined(clusters: Sequence[str], repeated: Sequence[Sequence[int]]) -> list[str]:
    """Cluster names after clusters that share a comparison have become one, named by the first of them."""
    parent = {name: name for name in clusters}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for where in repeated:
        for i in where[1:]:
            parent[root(clusters[i])] = root(clusters[where[0]])
    return [root(name) for name in clusters]


def _contradict(labels: Sequence[str]) -> bool:
    """A plain tie agrees with both kinds of tie."""
    distinct = set(labels)
    return len(distinct - {TIE}) > 1 or (TIE in distinct and bool(distinct - set(TIES)))


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:NAMED]) + _more(len(every))


def _more(count: int) -> str:
    return f" and {count - NAMED} more" if count > NAMED else ""


__all__ = ["PreferenceRow", "join_repeats"]
