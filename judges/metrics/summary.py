"""How often the edits of an arm moved the whole picture: one line of a table, from the rows of `drift`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PIXELS = 1.0  # a shift beyond it counts, in pixels of the source
ZOOM = 0.005  # likewise a scale further from 1: 2.5 pixels at the border of a picture of 1024
DEGREES = 0.25  # likewise a rotation


@dataclass(frozen=True)
class DriftSummary:
    """Shares are of those `measured`, which is fewer than `n` where pictures were flat, tiny or repainted altogether;
    None where nothing was measured. `zoomed` and `turned` are shares of the edits for which a zoom could be told."""

    n: int
    measured: int
    drifted: float | None  # by shift, zoom or rotation
    shifted: float | None
    zoomed: float | None
    turned: float | None
    median_px: float | None
    largest_px: float | None


def summarise_drift(
    rows: Sequence[Mapping[str, float | None]], pixels: float = PIXELS, zoom: float = ZOOM, degrees: float = DEGREES
) -> DriftSummary:
    """Over one arm's rows. A row without drift (not measured, or no source) counts in `n` alone."""
    moves = [(row["drift_px"], row.get("drift_scale"), row.get("drift_degrees")) for row in rows if "drift_px" in row]
    measured = [(px, scale, turn) for px, scale, turn in moves if px is not None]
    if not measured:
        return DriftSummary(len(rows), 0, None, None, None, None, None, None)
    shifted = [px > pixels for px, _, _ in measured]
    zoomed = [None if s is None else abs(s - 1) > zoom for _, s, _ in measured]
    turned = [None if t is None else abs(t) > degrees for _, _, t in measured]
    drifted = [any(marks) for marks in zip(shifted, zoomed, turned, strict=True)]
    lengths = [px for px, _, _ in measured]
    return DriftSummary(
        n=len(rows),
        measured=len(measured),
        drifted=_share(drifted),
        shifted=_share(shifted),
        zoomed=_share(zoomed),
        turned=_share(turned),
        median_px=statistics.median(lengths),
        largest_px=max(lengths),
    )


def drift_by_arm(rows: Mapping[str, Sequence[Mapping[str, float | None]]]) -> dict[str, DriftSummary]:
    """`summarise_drift` of every arm, at the standard limits."""
    return {arm: summarise_drift(its) for arm, its in rows.items()}


def _share(marks: Sequence[bool | None]) -> float | None:
    valid = [m for m in marks if m is not None]
    return sum(valid) / len(valid) if valid else None


__all__ = ["DEGREES", "PIXELS", "ZOOM", "DriftSummary", "drift_by_arm", "summarise_drift"]
