"""Preference data by name: what people said of edits, to measure judges by. To add a set: a file with CARD and
load(options), and its line in `_ALL`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.item import Card
from benchmarks.options import BenchmarkOptions, read_from
from benchmarks.preferences import compass, editscore, genai_bench, imagenhub, mmrb2, table, tiger
from benchmarks.preferences.base import EditCandidate, PreferenceGroup, PreferencePair, PreferenceSet
from common.errors import BadInput

_ALL: dict[str, tuple[Card, Callable[[BenchmarkOptions], PreferenceSet]]] = {
    "tiger": (tiger.CARD, tiger.load),
    "editscore": (editscore.CARD, editscore.load),
    "genai_bench": (genai_bench.CARD, genai_bench.load),
    "imagenhub": (imagenhub.CARD, imagenhub.load),
    "mmrb2": (mmrb2.CARD, mmrb2.load),
    "compass": (compass.CARD, compass.load),
    "csv": (table.CARD, table.load),
}
NAMES = tuple(_ALL)


def load(
    name: str,
    *,
    path: str | None = None,
    hub: str = "",
    revision: str | None = None,
    split: str = "",
    config: str = "",
    samples: int | None = None,
    seed: int = 0,
) -> PreferenceSet:
    """A set by name. Reads text, but no picture. Raises BadInput (unknown name or choice), MissingFile (no data, gated, no
    network, and how to get it), BadData (a column, type or value that is not as published)."""
    if name not in _ALL:
        raise BadInput(f"data={name} is unknown; choose one of {', '.join(NAMES)}")
    options = BenchmarkOptions(path, hub, revision, split, config, samples, seed)
    data = _ALL[name][1](options)
    return replace(data, card=replace(data.card, read=read_from(options, data.card)))


__all__ = ["NAMES", "EditCandidate", "PreferencePair", "PreferenceGroup", "PreferenceSet", "load"]
