"""Traces of the few items that a run's report shows: the plan, the calls, every picture, and the exact answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from common.atomic import atomic_file
from common.filenames import folder_name

if TYPE_CHECKING:
    from agents.traces import Trace

TARGET = "target.png"


def strip_numbers(n: int, strips: int) -> list[int]:
    """The numbers of the items that the report shows: evenly spaced, so that nobody chose them."""
    k = min(n, strips)
    return [i * n // k for i in range(k)]


def save_strip(folder: Path, arm: str, trace: Trace, target: Callable[[], Image.Image] | None = None) -> None:
    """The trace with its pictures in `<folder>/<arm>/<item>/`; `target` opens the exact answer, where the benchmark has one."""
    place = folder / folder_name(arm) / folder_name(trace.sample_id)
    trace.save(place)
    if target is not None:
        with atomic_file(place / TARGET) as file:
            target().save(file, format="PNG")


__all__ = ["TARGET", "save_strip", "strip_numbers"]
