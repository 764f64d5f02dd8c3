"""The options of a benchmark: where its data is and which part of it is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from common.parts import Content, Part, incidental
from common.ranges import MANY, number, seed_number

if TYPE_CHECKING:
    from benchmarks.item import Benchmark, Card


@dataclass
class BenchmarkOptions:
    """An empty field means the benchmark's own default."""

    path: str | None = incidental(None)  # folder or file with the data; null: the Hub, or its cache
    hub: str = ""  # Hub id
    revision: str | None = None  # commit of the Hub data set
    split: str = ""  # of the data set; empty: the benchmark's own
    config: str = ""  # configuration of the Hub data set, where it has several
    samples: int | None = number(None, 1, MANY)  # units taken from the whole, by the seed; null: all
    seed: int = seed_number()
    protocol: str = ""  # of those with several, e.g. single | multi
    language: str = "all"  # gedit: en | cn | all
    text: str = ""  # psr: original | simplified
    complexity: list[int] = number([], 1, 8)  # complex_edit: of 1 to 8; empty: all


@dataclass
class PublicBenchmark(BenchmarkOptions, Part):
    """A benchmark as a yaml names it: its card, and what may be chosen of it. `open` reads text, but no picture; it raises
    BadInput, MissingFile (no data, and how to get it), BadData."""

    name: str = field(kw_only=True)

    card: ClassVar[Card]

    @property
    def place(self) -> str:
        """Of its folder and column: with its protocol and language, for these are different items."""
        language = "" if self.language in ("", "all") else self.language
        return "-".join(word for word in (self.name, self.protocol, language) if word)

    def contents(self) -> Iterator[Content]:
        """Tables of its own folder; pictures in files of their own are compared item by item."""
        if self.path:
            yield Content(self.path, tuple(f"**/*.{ending}" for ending in ("parquet", "arrow", "zip", "tar")))

    def open(self, options: BenchmarkOptions) -> Benchmark:
        raise NotImplementedError

    def build(self, tools: Any = None) -> Benchmark:
        samples = getattr(tools, "samples", None)
        built = self.open(self if samples is None else replace(self, samples=samples))
        built.card = replace(built.card, read=read_from(self, built.card))
        return built


def read_from(options: BenchmarkOptions, card: Card) -> str:
    """What the card says was read."""
    if options.path:
        return str(options.path)
    commit = f" at {options.revision}" if options.revision else ""
    return f"{options.hub}{commit}" if options.hub else f"{card.source}{commit}"


__all__ = ["BenchmarkOptions", "PublicBenchmark", "read_from"]
