"""What is edited together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Chain:
    """The turns of one unit in one arm: each begins with the picture that this arm made in the turn before."""

    arm: str
    unit: int
    variant: int = 0  # of an arm that edits a unit several times


Block = Mapping[Chain, int]  # chains that are edited together, and the first turn that each of them lacks

__all__ = ["Block", "Chain"]
