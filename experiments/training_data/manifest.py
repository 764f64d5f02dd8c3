"""records.jsonl and its manifest: where the records came from, what was left out and why, and what they cost."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.avoid import Avoided, Dropped
from benchmarks.labels import MANIFEST, PARTS, RECORDS, Labelled, TrainingRequest
from benchmarks.requests import Read
from common.errors import BadData
from common.files import write_json, write_text
from common.progress import console
from judges.question import Usage

FORMAT = 1  # of records.jsonl and manifest.json


@dataclass
class LeftOut:
    """Requests that did not become records: how many for each reason, and those that can be named."""

    counts: Counter[str] = field(default_factory=Counter)
    items: list[dict[str, str]] = field(default_factory=list)

    def add(self, candidate: TrainingRequest, reason: str, detail: str = "") -> None:
        self.counts[f"{candidate.source}: {reason}"] += 1
        row = {"id": candidate.id, "request": candidate.request, "reason": reason}
        self.items.append(row | ({"detail": detail} if detail else {}))


@dataclass(frozen=True)
class TrainingSet:
    """Everything that is written of a set. `settings` decide the records; `cost` is what labels cost in all processes."""

    records: list[Labelled]
    settings: Mapping[str, Any]
    reads: Mapping[str, Read]
    avoided: list[Avoided]
    dropped: list[Dropped]
    left_out: LeftOut
    cost: Usage

    def write(self, out: Path) -> None:
        """Raises BadData where no record is left, SaveFailed."""
        left_out = self.left_out.counts
        if not self.records:
            why = "; ".join(f"{n} × {reason}" for reason, n in left_out.most_common(5))
            raise BadData(f"no request is left to train on ({why or 'the sources are empty'})")
        text = "".join(r.to_json() + "\n" for r in self.records)
        write_text(out / RECORDS, text)
        write_json(out / MANIFEST, self.manifest(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()))
        parts = Counter(r.part for r in self.records)
        console.print(
            f"{len(self.records)} records ({', '.join(f'{p} {parts[p]}' for p in PARTS)}), {sum(left_out.values())} left out "
            f"(why: {MANIFEST}); cost ${self.cost.dollars:.2f}"
        )
        console.print(f"written: [bold]{out / RECORDS}[/], {MANIFEST}; to train: benchmark=prepared benchmark.path=…")

    def manifest(self, digest: str) -> dict[str, Any]:
        records, parts = self.records, Counter(r.part for r in self.records)
        return {
            "format": FORMAT,
            "records": len(records),
            "parts": {p: parts[p] for p in PARTS},
            "by_source": counted(r.source for r in records),
            "by_label": counted(str(r.labels["by"]) for r in records),
            "actions": counted(e.action for r in records for e in r.gold),
            "with_picture": sum(r.picture is not None for r in records),
            "sources": {name: read.facts | {"licences": licences(records, name)} for name, read in self.reads.items()},
            "asked": dict(self.settings),
            "left_out": dict(sorted(self.left_out.counts.items())),
            "left_out_items": self.left_out.items,
            "avoided": [
                {"name": a.name, "texts": len(a.texts), "ids": len(a.ids), "missing": list(a.missing)}
                for a in self.avoided
            ],
            "too_near": [asdict(d) for d in self.dropped],
            "sha256": {RECORDS: digest},
            "cost": dict(vars(self.cost)),
        }


def counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))


def licences(records: Iterable[Labelled], source: str) -> list[str]:
    return sorted({r.licence for r in records if r.source == source})


__all__ = ["FORMAT", "LeftOut", "TrainingSet"]
