"""The options of a benchmark: where its data is and which part of it is used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BenchmarkOptions:
    """Fields as in conf/schema.py's BenchmarkConfig; an empty one means the benchmark's own default."""

    path: str | None = None  # folder or file with the data; None: the Hub, or what was kept of it
    hub: str = ""  # Hub id
    revision: str | None = None  # commit of the Hub data set
    split: str = ""
    config: str = ""  # configuration of the Hub data set, where it has several
    samples: int | None = None  # units taken from the whole, by the seed; None: all
    seed: int = 0
    protocol: str = ""  # of those with several, e.g. single | multi
    language: str = "all"  # gedit: en | cn | all
    text: str = ""  # psr: original | simplified
    complexity: tuple[int, ...] = ()  # complex_edit: of 1 to 8; empty: all


__all__ = ["BenchmarkOptions"]
