"""What is measured on edited pictures without a judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from common.errors import MissingFile
from common.parts import CHECKPOINT, Content, Machine, Part, incidental
from conf.parts import build
from experiments.preflight.machine import ThisMachine

if TYPE_CHECKING:
    from judges.metrics import Metrics, Weights


@dataclass
class MetricSet(Part):
    """Metrics by name (judges/metrics/names.py); weights are never fetched."""

    name: str
    names: list[str] = incidental(list)  # e.g. l1, l1@source, clip_dir; drift is added to any of them
    clip: str = "openai/clip-vit-base-patch32"  # folder or Hub id, likewise dino
    dino: str = "facebook/dino-vits16"  # facebook/dinov2-small: DINOv2
    lpips: Literal["alex", "vgg", "squeeze"] = "alex"  # the network that LPIPS compares features of
    device: Literal["auto", "cpu", "cuda"] = incidental("auto")  # auto: the GPU where there is one

    def __post_init__(self) -> None:
        from judges.metrics.names import parse

        parse(self.names)

    def weights(self) -> Weights:
        from judges.metrics import Weights

        return Weights(self.clip, self.dino, self.lpips)

    def missing(self, machine: Machine) -> Iterator[str]:
        from judges.metrics import missing_metric_weights

        yield from missing_metric_weights(self.names, self.weights())

    def contents(self) -> Iterator[Content]:
        from judges.metrics.names import parse

        families = {n.info.family for n in parse(self.names)}
        for family, place in (("clip", self.clip), ("dino", self.dino)):
            if family in families:
                yield Content(place, CHECKPOINT)

    def build(self, tools: None) -> Metrics:
        from judges.metrics import make_metrics

        return make_metrics(self.names, self.device, self.weights())


def make_metrics(part: Any) -> Any:
    """An object with `measure(item, edited) -> {name: value or None}`. Raises MissingFile for weights that are not there."""
    return build(part)


def check_metrics(part: Any) -> None:
    """Raises MissingFile for weights that are not there; nothing is loaded."""
    if missing := list(part.missing(ThisMachine())):
        lines = "\n".join(f"  - {line}" for line in missing)
        raise MissingFile(f"metrics={part.name} cannot be measured here; missing:\n{lines}")


__all__ = ["MetricSet", "check_metrics", "make_metrics"]
