"""The pictures that were given, kept for the items of the gallery, so that a report needs no data set."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.item import Benchmark
from common.errors import BadData
from common.pictures import to_rgb
from experiments.evaluation.editing import opened
from experiments.evaluation.gallery import chosen
from experiments.evaluation.layout import Key, Layout
from experiments.evaluation.load import Section
from experiments.evaluation.pictures import save_picture


def keep_sources(benchmark: Benchmark, sections: Sequence[Section], layout: Layout, gallery: int) -> None:
    """Of the benchmark that is open; other benchmarks of the folder had theirs kept when they were."""
    for section in sections:
        if section.name == layout.benchmark:
            for key in chosen(section, gallery):
                keep(benchmark, layout, (key[0], 0))  # a session's later turns begin with what each arm made


def keep(benchmark: Benchmark, layout: Layout, key: Key) -> None:
    path = layout.source(key)
    if not path.is_file():
        picture = opened(benchmark.unit(key[0])[key[1]])
        if picture is not None and not isinstance(picture, BadData):  # of a damaged one there is no edit to show
            save_picture(path, to_rgb(picture))


__all__ = ["keep", "keep_sources"]
