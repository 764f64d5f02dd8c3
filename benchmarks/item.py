"""The items of a public benchmark: requests with pictures that are opened only when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from benchmarks.base import EditSample

Opens = Callable[[], Image.Image]  # a picture, read from where it lies; RGB, upright, in its own size
EVERYTHING = "all"


@dataclass(frozen=True)
class Item(EditSample):
    """One request of a benchmark. `kind` is the benchmark's own task type, over which macro means go.

    Several turns on one picture have the same `session` and count up in `turn`, from 0; where the protocol lets an editor
    go on with its own result, the evaluation puts that in `picture`, else `source` is opened.
    """

    source: Opens | None = field(default=None, compare=False, repr=False)
    reference: Opens | None = field(default=None, compare=False, repr=False)  # a published target, where there is one
    mask: Opens | None = field(default=None, compare=False, repr=False)  # mode L, 255 where something is to change
    session: str = ""
    turn: int = 0
    # what depends on each other across units, such as several requests on one picture: drawn together in intervals
    cluster: str = ""
    subsets: tuple[str, ...] = (EVERYTHING,)  # parts of the benchmark that are reported on their own, e.g. "en/full"
    facts: Mapping[str, Any] = field(
        default_factory=dict, compare=False
    )  # what rubrics and metrics need: captions, ...

    @property
    def image(self) -> Image.Image | None:
        return self.picture if self.picture is not None or self.source is None else self.source()


Unit = tuple[Item, ...]  # what is edited and judged together: a session's turns, oldest first, or one item


@dataclass(frozen=True)
class Card:
    """What a reader must know about a benchmark to interpret its numbers; shown in reports beside them."""

    name: str
    title: str
    source: str  # Hub id or repository
    paper: str
    licence: str
    split: str
    size: str  # of the whole, in words
    sampling: str  # which items are taken and how, in words, with the seed
    get: str  # how to get the data, said in every error about missing data
    rubric: str = "paper"  # of the benchmark's own protocol
    mean: str = "micro"  # the protocol's own. micro: over items | macro: unweighted over kinds | final: over last turns
    notes: tuple[str, ...] = ()  # known defects and differences from others' scripts
    text_only: bool = False  # decompositions alone are scored: nothing is edited
    trainable: bool = False  # a run trains on it, and evaluates itself on its held-out part
    read: str = ""  # where what was read lay: a folder or file, or an id on the Hub
    data: str = ""  # what tables call it where the data is not what the benchmark's name says


class Benchmark(Protocol):
    """Units in a fixed order: the same number is the same unit in every process and on every day."""

    card: Card

    def __len__(self) -> int:
        """How many units."""
        ...

    def unit(self, i: int) -> Unit:
        """The i-th unit; cheap, no picture is opened. Raises BadData naming the row where it cannot be read."""
        ...


__all__ = ["EVERYTHING", "Benchmark", "Card", "Item", "Opens", "Unit"]
