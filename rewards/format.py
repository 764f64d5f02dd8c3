"""Reward for the form of a completion: 1.0 where it is exactly one decomposition (arXiv 2603.08059), else 0.0."""

from __future__ import annotations

from agents.plan import MalformedDecomposition, parse_decomposition
from benchmarks.base import Decomposition


def read(text: str) -> Decomposition | None:
    """The decomposition written in `text`, or None where the text is malformed."""
    try:
        return parse_decomposition(text)
    except MalformedDecomposition:
        return None


def format_reward(text: str) -> float:
    """1.0 for a well-formed completion, 0.0 for any other."""
    return float(read(text) is not None)


__all__ = ["format_reward", "read"]
