"""Metrics asked for by name, measured on a benchmark's items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property

from PIL import Image

from benchmarks.item import Item, Opens
from common.errors import BadData, BadInput
from common.progress import say
from judges.metrics.base import Case, Metric, Reading
from judges.metrics.names import ALWAYS, MetricName, parse
from judges.metrics.weights import Weights, require

Row = dict[str, float | None]
SOURCE_CAPTION = ("source_caption", "input_caption")  # keys of Item.facts, the first that is there
TARGET_CAPTION = ("target_caption", "output_caption")


class Metrics:
    """Several families together. `keys` are those of every row, in a fixed order; `drift` stands for seven of them."""

    always = ALWAYS

    def __init__(self, parts: Sequence[Metric]) -> None:
        self.parts = tuple(parts)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        return tuple(key for part in self.parts for key in part.keys)

    @cached_property
    def needs(self) -> frozenset[str]:
        """Which pictures of an item are opened."""
        return frozenset().union(*(part.needs for part in self.parts))

    def measure(self, item: Item, edited: Image.Image) -> Row:
        """Numbers of one edited picture; None where a metric does not apply (`readings` says why). All are finite."""
        return self.measure_batch([item], [edited])[0]

    def measure_batch(self, items: Sequence[Item], edited: Sequence[Image.Image]) -> list[Row]:
        """As `measure`; models see the pictures of a batch together."""
        return [{key: r.value for key, r in row.items()} for row in self.readings(items, edited)]

    def readings(self, items: Sequence[Item], edited: Sequence[Image.Image]) -> list[dict[str, Reading]]:
        """As `measure_batch`, with the reason for every None. Raises what opening an item's picture raises."""
        cases = [case_of(item, picture, self.needs) for item, picture in zip(items, edited, strict=True)]
        rows: list[dict[str, Reading]] = [{} for _ in cases]
        for part in self.parts:
            for row, more in zip(rows, part.measure(cases), strict=True):
                row |= more
        return rows


def make_metrics(names: Iterable[str], device: str = "auto", weights: Weights | None = None) -> Metrics:
    """The metrics asked for and ALWAYS; none at all for no names. `device`: auto | cpu | cuda, for those with a model.

    Raises BadInput for an unknown name or a GPU that is not there, MissingFile with everything that is missing, BadData for
    damaged weights.
    """
    weights = weights or Weights()
    chosen = parse(names)
    if not chosen:
        return Metrics(())
    chosen += tuple(n for n in parse(ALWAYS) if n.base not in {a.base for a in chosen})
    require([n.key for n in chosen], weights)
    families: dict[str, list[MetricName]] = {}
    for name in chosen:
        families.setdefault("pixels" if name.info.family == "background" else name.info.family, []).append(name)
    return Metrics([BUILD[family](members, _device(device), weights) for family, members in families.items()])


def case_of(item: Item, edited: Image.Image, needs: frozenset[str]) -> Case:
    """What metrics may look at; the source is what the editor was given in this turn. Pictures not needed stay closed. A target or
    a mask that is damaged counts as one that the item does not have, and is named."""
    return Case(
        edited,
        source=item.image if "source" in needs else None,
        reference=_opened(item.reference) if "reference" in needs else None,
        mask=_opened(item.mask) if "mask" in needs else None,
        source_caption=_caption(item, SOURCE_CAPTION),
        target_caption=_caption(item, TARGET_CAPTION),
    )


def _opened(opens: Opens | None) -> Image.Image | None:
    try:
        return None if opens is None else opens()
    except BadData as error:
        _say_once(f"left out of the metrics that need it: {error}")
        return None


@cache
def _say_once(text: str) -> None:
    say(text)


def _caption(item: Item, keys: Iterable[str]) -> str:
    return next((str(item.facts[k]) for k in keys if item.facts.get(k)), "")


def _device(device: str) -> str:
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput(f"metrics.device={device}, but torch sees no GPU; use auto or cpu")
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


# ------------------------------------------------------------------- one builder per family; a model is loaded only there
def _pixels(names: list[MetricName], device: str, weights: Weights) -> Metric:
    from judges.metrics.pixels import PixelMetric

    return PixelMetric(names)


def _lpips(names: list[MetricName], device: str, weights: Weights) -> Metric:
    from judges.metrics.perceptual import LpipsMetric, load_lpips

    return LpipsMetric(names, load_lpips(weights.lpips, device), device)


def _clip(names: list[MetricName], device: str, weights: Weights) -> Metric:
    from editors.checkpoint import find_folder
    from judges.metrics.embeddings import EmbeddingMetric
    from judges.metrics.encoders import ClipEncoder

    return EmbeddingMetric(names, ClipEncoder(find_folder(weights.clip), device))


def _dino(names: list[MetricName], device: str, weights: Weights) -> Metric:
    from editors.checkpoint import find_folder
    from judges.metrics.embeddings import EmbeddingMetric
    from judges.metrics.encoders import DinoEncoder

    return EmbeddingMetric(names, DinoEncoder(find_folder(weights.dino), device))


def _drift(names: list[MetricName], device: str, weights: Weights) -> Metric:
    from judges.metrics.drift import DriftMetric

    return DriftMetric()


BUILD: dict[str, Callable[[list[MetricName], str, Weights], Metric]] = {
    "pixels": _pixels,
    "lpips": _lpips,
    "clip": _clip,
    "dino": _dino,
    "drift": _drift,
}

__all__ = ["SOURCE_CAPTION", "TARGET_CAPTION", "Metrics", "Row", "case_of", "make_metrics"]
