"""The third stage: metrics that need no judge, of every edited picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from PIL import Image

from benchmarks.item import Benchmark, Item
from conf.schema import EvaluateConfig
from experiments.evaluation.found import read_metrics
from experiments.evaluation.places import Key, Place, Share, open_picture
from experiments.evaluation.rows import RowFile, fine, read_rows


class Measure(Protocol):
    """{metric: value} of one edit; None for a metric that this item does not have (no mask, no target)."""

    def measure(self, item: Item, edited: Image.Image) -> Mapping[str, float | None]: ...


def unmeasured(place: Place, arm: str, names: Sequence[str], share: Share, chunk: int) -> list[Key]:
    """This share's pictures that lack one of the metrics."""
    known = read_metrics(place.metrics(arm))
    wanted = set(names)
    edits = read_rows(place.edits(arm))
    return [k for k, r in edits.items() if fine(r) and share.has(k[0], chunk) and not wanted <= set(known.get(k, ()))]


def measure(
    place: Place,
    arm: str,
    benchmark: Benchmark,
    measured: Measure,
    keys: Sequence[Key],
    share: Share,
    told: Callable[[int], Any],
) -> None:
    """A row for each picture, kept as soon as it is measured. The picture before a later turn is the turn's before it."""
    with RowFile(place.metrics(arm) / f"{share.name}.jsonl") as file:
        for done, (unit, turn) in enumerate(keys, 1):
            item = benchmark.unit(unit)[turn]
            if turn:
                item = replace(item, picture=open_picture(place.picture(arm, (unit, turn - 1))))
            values = dict(measured.measure(item, open_picture(place.picture(arm, (unit, turn)))))
            file.append([{"unit": unit, "turn": turn, "id": item.id, "values": values}])
            told(done)


def make_measure(config: EvaluateConfig) -> Measure:
    """The metrics of the configuration. Raises MissingFile for weights that are not there."""
    from judges.metrics import make_metrics

    return make_metrics(config.metrics.names)


__all__ = ["Measure", "make_measure", "measure", "unmeasured"]
