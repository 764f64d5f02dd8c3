"""Metrics that need no judge, of every edited picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from benchmarks.item import Benchmark, Item
from common.errors import MissingFile
from common.jsonl import read_jsonl
from conf.schema import MetricsConfig
from experiments.evaluation.layout import Key, Layout
from experiments.evaluation.pictures import open_picture
from experiments.evaluation.rows import RowFile, fine, key_of, read_rows
from experiments.evaluation.shares import Share

if TYPE_CHECKING:
    from judges.metrics import Weights


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


def make_measure(config: MetricsConfig) -> Measure:
    """The metrics of the configuration. Raises MissingFile for weights that are not there."""
    from judges.metrics import make_metrics

    return make_metrics(config.names, config.device, weights(config))


def check_metrics(config: MetricsConfig) -> None:
    """Raises BadInput for an unknown metric, MissingFile for weights that are not there; nothing is loaded."""
    from judges.metrics import missing_metric_weights

    if missing := missing_metric_weights(config.names, weights(config)):
        lines = "\n".join(f"  - {line}" for line in missing)
        raise MissingFile(f"metrics={config.name} cannot be measured here; missing:\n{lines}")


def weights(config: MetricsConfig) -> Weights:
    from judges.metrics import Weights

    return Weights(config.clip, config.dino, config.lpips)


__all__ = ["Measure", "check_metrics", "make_measure", "measure", "unmeasured"]
