"""The items of a benchmark as they are listed beside the rows: a report then needs no data set, and a sample can be repeated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.item import Benchmark, Card, Item
from common.contents import digest_files
from common.errors import BadData, BadInput
from common.files import read_json, write_text
from common.jsonl import read_jsonl
from experiments.evaluation.claims import has_rows, write_changed
from experiments.evaluation.layout import CLAIM, Key, Layout

ITEMS = "items.jsonl"


@dataclass(frozen=True)
class Listed:
    """One item as the report knows it."""

    key: Key
    id: str
    request: str
    kind: str
    session: str
    subsets: tuple[str, ...]
    cluster: str = ""


@dataclass(frozen=True)
class Listing:
    card: Card
    items: tuple[Listed, ...]  # in the benchmark's order
    config: Mapping[str, Any]

    @property
    def keys(self) -> list[Key]:
        return [i.key for i in self.items]


def claim_benchmark(layout: Layout, benchmark: Benchmark, config: Mapping[str, Any]) -> Listing:
    """Write the list of items, or compare it with the one that the folder has. Raises BadInput where the folder holds other items,
    BadData for items that have the same id: rows and seeds are told apart by it."""
    items, pictures = [], []
    for i in range(len(benchmark)):
        for turn, item in enumerate(benchmark.unit(i)):
            fields = (item.id, item.request, item.kind, item.session, tuple(item.subsets), item.cluster)
            items.append(Listed((i, turn), *fields))
            pictures += _files_of(item)
    if not items:
        raise BadInput(f"benchmark={layout.benchmark} has no items with these settings")
    ids = {i.id for i in items}
    if len(ids) < len(items):
        seen: set[str] = set()
        twice = next(i.id for i in items if i.id in seen or seen.add(i.id))  # type: ignore[func-returns-value]
        raise BadData(f"benchmark={layout.benchmark}: two items have the id {twice!r}; ids must differ")
    lines = "".join(json.dumps(_written(i), ensure_ascii=False) + "\n" for i in items)
    digest = hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    files = {"pictures": digest_files(pictures)} if pictures else {}
    path = layout.folder / ITEMS
    if (layout.folder / CLAIM).is_file() and has_rows(layout.folder):
        _compare(layout, dict(config), digest, files)
    else:
        card = json.loads(json.dumps(asdict(benchmark.card)))
        values = {"card": card, "config": dict(config), "items": digest, "units": len(benchmark), **files}
        write_changed(layout.folder / CLAIM, values)
        write_text(path, lines.encode("utf-8", "replace").decode())
    return Listing(benchmark.card, tuple(items), dict(config))


def _files_of(item: Item) -> list[tuple[str, Path]]:
    """The files of an item's pictures, where they are files of their own."""
    opens = {"source": item.source, "reference": item.reference, "mask": item.mask}
    paths = {name: getattr(o, "path", None) for name, o in opens.items()}
    return [(f"{item.id} {name}", p) for name, p in paths.items() if isinstance(p, Path) and p.is_file()]


def _compare(layout: Layout, config: Mapping[str, Any], digest: str, files: Mapping[str, str]) -> None:
    """A card's words may be mended; its items, their pictures and data files may not change."""
    existing = read_json(layout.folder / CLAIM)
    other = [k for k, v in files.items() if existing.get(k, v) != v]
    if existing["config"].get("content") != config.get("content") and "content" in existing["config"]:
        other.append("data files")
    if other:
        raise BadInput(
            f"{layout.folder} holds results for other {' and '.join(other)} of {layout.benchmark} (the files have changed since); "
            "choose another out=<folder>"
        )
    if existing.get("items") != digest:
        its = existing["config"]
        settings = sorted(k for k in {*its, *config} if its.get(k) != config.get(k))
        why = f"other {', '.join(f'benchmark.{k}' for k in settings)}" if settings else "the data changed"
        raise BadInput(f"{layout.folder} holds other items of {layout.benchmark} ({why}); choose another out=<folder>")


def read_listing(layout: Layout) -> Listing:
    existing = read_json(layout.folder / CLAIM)
    items = tuple(
        Listed(
            (r["unit"], r["turn"]),
            r["id"],
            r["request"],
            r["kind"],
            r["session"],
            tuple(r["subsets"]),
            r.get("cluster", ""),
        )
        for r in read_jsonl(layout.folder / ITEMS)
    )
    card: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in existing["card"].items()}
    return Listing(Card(**card), items, existing["config"])


def _written(item: Listed) -> dict[str, Any]:
    return {
        "unit": item.key[0],
        "turn": item.key[1],
        "id": item.id,
        "request": item.request,
        "kind": item.kind,
        "session": item.session,
        "subsets": list(item.subsets),
    } | ({"cluster": item.cluster} if item.cluster else {})


__all__ = ["ITEMS", "Listed", "Listing", "claim_benchmark", "read_listing"]
