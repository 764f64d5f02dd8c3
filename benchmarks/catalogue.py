"""The public benchmarks by name, for whatever names them without a configuration."""

from __future__ import annotations

from typing import Any

from benchmarks.complex_edit import ComplexEdit
from benchmarks.emu_edit import EmuEdit
from benchmarks.folder import Folder
from benchmarks.gedit import GEdit
from benchmarks.imgedit import ImgEdit
from benchmarks.item import Benchmark, Card
from benchmarks.magicbrush import MagicBrush
from benchmarks.mice_sessions import MiceSessions
from benchmarks.options import PublicBenchmark
from benchmarks.psr import PSR
from benchmarks.realedit import RealEdit
from benchmarks.risebench import RiseBench
from benchmarks.ultraedit import UltraEdit
from common.errors import BadInput

CLASSES: tuple[type[PublicBenchmark], ...] = (
    PSR,
    RealEdit,
    UltraEdit,
    MagicBrush,
    EmuEdit,
    GEdit,
    ImgEdit,
    ComplexEdit,
    MiceSessions,
    RiseBench,
    Folder,
)
NAMES = tuple(c.card.name for c in CLASSES)


def load(name: str, **options: Any) -> Benchmark:
    """A benchmark by name; the options are those of `benchmarks.options.PublicBenchmark`.

    Reads text, but no picture. Raises BadInput (unknown name or choice), MissingFile (no data, and how to get it), BadData.
    """
    return _class(name)(name=name, **options).build()


def card(name: str) -> Card:
    """The card of a benchmark, without any data. Raises BadInput for an unknown name."""
    return _class(name).card


def _class(name: str) -> type[PublicBenchmark]:
    for cls in CLASSES:
        if cls.card.name == name:
            return cls
    raise BadInput(f"benchmark={name} is unknown; choose one of {', '.join(NAMES)}")


__all__ = ["CLASSES", "NAMES", "card", "load"]
