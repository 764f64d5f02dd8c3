"""Numbers in words, the same in every report."""

from __future__ import annotations


def p_text(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


__all__ = ["p_text"]
