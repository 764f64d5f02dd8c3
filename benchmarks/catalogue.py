"""The public benchmarks by name. To add one: a file with CARD and load(options), and its line in `_ALL`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import (
    complex_edit,
    emu_edit,
    folder,
    gedit,
    imgedit,
    magicbrush,
    mice_sessions,
    psr,
    realedit,
    risebench,
    ultraedit,
)
from benchmarks.item import Benchmark, Card
from benchmarks.options import BenchmarkOptions
from common.errors import BadInput

_ALL: dict[str, tuple[Card, Callable[[BenchmarkOptions], Benchmark]]] = {
    "psr": (psr.CARD, psr.load),
    "realedit": (realedit.CARD, realedit.load),
    "ultraedit": (ultraedit.CARD, ultraedit.load),
    "magicbrush": (magicbrush.CARD, magicbrush.load),
    "emu_edit": (emu_edit.CARD, emu_edit.load),
    "gedit": (gedit.CARD, gedit.load),
    "imgedit": (imgedit.CARD, imgedit.load),
    "complex_edit": (complex_edit.CARD, complex_edit.load),
    "mice": (mice_sessions.CARD, mice_sessions.load),
    "risebench": (risebench.CARD, risebench.load),
    "folder": (folder.CARD, folder.load),
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
    protocol: str = "",
    language: str = "all",
    text: str = "",
    complexity: Sequence[int] = (),
) -> Benchmark:
    """A benchmark by name; the options are those of conf/schema.py's BenchmarkConfig, empty ones mean its own default.

    Reads text, but no picture. Raises BadInput (unknown name or choice), MissingFile (no data, and how to get it), BadData.
    """
    _, loads = _entry(name)
    return loads(
        BenchmarkOptions(path, hub, revision, split, config, samples, seed, protocol, language, text, tuple(complexity))
    )


def card(name: str) -> Card:
    """The card of a benchmark, without any data. Raises BadInput for an unknown name."""
    return _entry(name)[0]


def _entry(name: str) -> tuple[Card, Callable[[BenchmarkOptions], Benchmark]]:
    if name not in _ALL:
        raise BadInput(f"benchmark={name} is unknown; choose one of {', '.join(NAMES)}")
    return _ALL[name]


__all__ = ["NAMES", "card", "load"]
