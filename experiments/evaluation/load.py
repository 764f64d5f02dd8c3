"""Everything that lies in an evaluation's folder, read back: by benchmark, judge and arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import read_json
from common.statistics import Cell, macro, micro
from experiments.evaluation.layout import CLAIM, EDITS, LIMITS, METRICS, VERDICTS, Key, Layout, has_rows
from experiments.evaluation.listing import Listed, Listing, read_listing
from experiments.evaluation.names import arm_order
from experiments.evaluation.rows import Row, fine, fingerprint, read_rows

OVERALL = "overall"
RESULTS = "results.json"
ABOUT = (
    "scale",
    "editor",
    "editor_settings",
    "execution",
    "seed",
    "run",
    "gallery",
)  # of its last command, in results.json
Rows = Mapping[Key, Row]


@dataclass(frozen=True)
class Column:
    """One judge on one benchmark: the rows of every arm. An edit that left no picture is an invalid verdict."""

    label: str
    claim: Mapping[str, Any]  # what defines the judge
    rows: Mapping[str, Rows]
    usage: Mapping[str, float]

    @property
    def title(self) -> str:
        rubric = self.claim.get("rubric")
        return f"{self.claim.get('name', self.label)}" + (f" ({rubric})" if rubric else "")

    def aspects(self) -> list[str]:
        """Overall first, then the judge's scores in its own order. Some protocols leave scores out where they do not apply to
        an item, so that no single row has all of them; the fullest one says the order."""
        kinds = {tuple(row["scores"]): None for rows in self.rows.values() for row in rows.values()}
        names = dict.fromkeys(n for kind in sorted(kinds, key=len, reverse=True) for n in kind)
        return [OVERALL, *(n for n in names if n != OVERALL)] if names else [OVERALL]


@dataclass(frozen=True)
class Section:
    """One benchmark of an evaluation."""

    place: Layout
    listing: Listing
    arms: tuple[str, ...]
    claims: Mapping[str, Mapping[str, Any]]  # of each arm
    edits: Mapping[str, Rows]
    columns: tuple[Column, ...]
    metrics: Mapping[str, Rows]

    @property
    def name(self) -> str:
        return self.place.benchmark

    @property
    def total(self) -> int:
        return len(self.listing.items)


def load(out: Path) -> list[Section]:
    """In the order of the benchmarks' folders. Raises BadData naming a file that is damaged."""
    from experiments.evaluation.judging import usage_of

    sections = []
    for path in sorted(p.parent for p in out.glob(f"*/{CLAIM}")):
        name = read_json(path / CLAIM)["config"]["place"]
        place = Layout(out, name)
        claims = {c["arm"]: c for p in path.glob(f"{EDITS}/*/{CLAIM}") if has_rows(p.parent) and (c := read_json(p))}
        arms = tuple(sorted(claims, key=arm_order))
        edits = {arm: read_rows(place.edits(arm)) for arm in arms}
        columns = []
        for judge in sorted(p.parent for p in path.glob(f"{VERDICTS}/*/{CLAIM}")):
            if not has_rows(judge):
                continue
            claimed = read_json(judge / CLAIM) | read_json(judge / LIMITS)
            rows = {arm: judged_rows(edits[arm], read_rows(place.verdicts(claimed["label"], arm))) for arm in arms}
            columns.append(Column(claimed["label"], claimed, rows, usage_of(judge)))
        metrics = {arm: read_metrics(place.metrics(arm)) for arm in arms if (path / METRICS).is_dir()}
        sections.append(Section(place, read_listing(place), arms, claims, edits, tuple(columns), metrics))
    return sections


def judged_rows(edits: Rows, verdicts: Rows) -> dict[Key, Row]:
    """Verdicts on the pictures that are there, and an invalid one where an edit failed."""
    found = {}
    for key, edit in edits.items():
        if not fine(edit):
            reason = f"no picture: {edit['failure']}"
            found[key] = {"id": edit["id"], "scores": {}, "valid": False, "reason": reason, "edited": False}
        elif key in verdicts:
            found[key] = verdicts[key]
    return found


def read_metrics(folder: Path) -> dict[Key, Row]:
    """{key: {metric: value}}, joined over the runs that measured more of them."""
    found: dict[Key, Row] = {}
    from common.jsonl import read_jsonl

    for path in sorted(folder.glob("*.jsonl")):
        for row in read_jsonl(path):
            found.setdefault((row["unit"], row["turn"]), {}).update(row["values"])
    return found


def cell(items: Sequence[Listed], rows: Rows, aspect: str, mean: str = "micro") -> Cell:
    """Mean of a score over the items: micro over items, macro over kinds, final over the last turns of sessions. Turns of a
    session are drawn together in its interval. Items without a row are missing; a score that a protocol does not apply to an
    item is left out."""
    if mean == "final":
        items = last_turns(items)
    judged = [i for i in items if i.key in rows]
    values: list[float | None] = []
    kept = []
    for item in judged:
        row = rows[item.key]
        if not row["valid"] or aspect in row["scores"]:
            values.append(row["scores"][aspect] if row["valid"] else None)
            kept.append(item)
    clusters = clusters_of(kept)
    missing = len(items) - len(judged)
    if mean == "macro":
        return macro(values, [i.kind for i in kept], clusters=clusters, missing=missing)
    return micro(values, clusters=clusters, missing=missing)


def clusters_of(items: Sequence[Listed]) -> list[str] | None:
    """Sessions, and other items that depend on each other (one picture under several requests), where there are any."""
    names = [i.cluster or i.session or i.id for i in items]
    return names if len(set(names)) < len(names) else None


def last_turns(items: Sequence[Listed]) -> list[Listed]:
    last = {i.key[0]: i for i in items}
    return list(last.values())


def made_from(out: Path) -> str:
    """Changes with every row that a report would show."""
    import hashlib

    folders = sorted(p.parent for p in out.glob(f"*/{CLAIM}"))
    return hashlib.sha256(fingerprint(folders).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def is_evaluation(out: Path) -> bool:
    return (out / RESULTS).is_file() and "table" in read_json(out / RESULTS)


__all__ = [
    "ABOUT",
    "OVERALL",
    "RESULTS",
    "Column",
    "Section",
    "cell",
    "clusters_of",
    "is_evaluation",
    "last_turns",
    "load",
    "made_from",
]
