"""Ranks of vLLM's slots for adapters. Nothing here loads torch: plans of memory read it too."""

from __future__ import annotations

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # in every release that is accepted


def slot_rank(rank: int) -> int | None:
    """The smallest slot that an adapter fits in; None where there is none."""
    return next((size for size in RANKS if rank <= size), None)


__all__ = ["RANKS", "slot_rank"]
