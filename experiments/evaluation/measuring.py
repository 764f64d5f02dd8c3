"""Metrics that need no judge, of every edited picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from PIL import Image

from benchmarks.item import Benchmark, Item
from common.jsonl import read_jsonl
from experiments.evaluation.layout import Key, Layout
from experiments.evaluation.pictures import open_picture
from experiments.evaluation.rows import RowFile, fine, key_of, read_rows
from experiments.evaluation.shares import Share


class Measure(Protocol):
    """{metric: value} of one edit; None for a metric that this item does not have (no mask, no target)."""

    def measure(self, item: Item, edited: Image.Image) -> Mapping[str, float | None]: ...


def unmeasured(layout: Layout, arm: str, names: Sequence[str], share: Share, chunk: int) -> list[Key]:
    """This share's pictures that lack one of the metrics."""
    measured: dict[Key, set[str]] = {}
    for path in layout.metrics(arm).glob("*.jsonl"):
        for row in read_jsonl(path):
            measured.setdefault(key_of(row), set()).update(row["names"])
    every, none = set(names), set[str]()
    edits = read_rows(layout.edits(arm))
    return [k for k, r in edits.items() if fine(r) and share.has(k[0], chunk) and not every <= measured.get(k, none)]


def measure(
    layout: Layout,
    arm: str,
    benchmark: Benchmark,
    measurement: Measure,
    names: Sequence[str],
    keys: Sequence[Key],
    share: Share,
    on_progress: Callable[[int], Any],
) -> None:
    """Write a row for each picture as soon as it is measured. A later turn is compared with what the turn before it made."""
    with RowFile(layout.metrics(arm) / f"{share.name}.jsonl") as file:
        for done, (unit, turn) in enumerate(keys, 1):
            item = benchmark.unit(unit)[turn]
            if turn:
                item = replace(item, picture=open_picture(layout.picture(arm, (unit, turn - 1))))
            values = dict(measurement.measure(item, open_picture(layout.picture(arm, (unit, turn)))))
            file.append([{"unit": unit, "turn": turn, "id": item.id, "names": list(names), "values": values}])
            on_progress(done)


__all__ = ["Measure", "measure", "unmeasured"]
