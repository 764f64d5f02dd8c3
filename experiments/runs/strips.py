"""The few test samples whose pictures are kept for the report."""

from __future__ import annotations

from pathlib import Path

from agents.traces import Trace
from benchmarks.base import EditSample
from common.errors import SaveFailed
from common.filenames import folder_name


def strip_numbers(n: int, strips: int) -> list[int]:
    """Which test samples the report shows: evenly spaced, so nobody chose them."""
    k = min(n, strips)
    return [i * n // k for i in range(k)]


def save_strip(folder: Path, arm: str, sample: EditSample, trace: Trace) -> None:
    """The trace with its pictures, and the exact answer where the benchmark has one."""
    name = folder_name(sample.id)
    trace.save(folder / arm / name)
    target = getattr(sample, "target", None)
    if target is not None:
        try:
            target.save(folder / arm / name / "target.png")
        except OSError as e:
            raise SaveFailed(
                f"could not write {folder / arm / name / 'target.png'}: {e}; free space and run again"
            ) from e
