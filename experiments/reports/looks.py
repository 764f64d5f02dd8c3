"""Colours of the arms and of the moments before and after RL, and names short enough for a terminal of 80 columns."""

from __future__ import annotations

from experiments.evaluation.names import ARM_NAMES

ARM_COLOURS = {
    "editor": "#9aa5b1",
    "editor_chance": "#5d6b79",
    "editor_best": "#3a8f5c",
    "agents": "#d9772b",
    "agents_rl": "#2563a8",
}
WHEN_COLOURS = {"before": "#d9772b", "after": "#2563a8"}
SHORT_NAMES = ARM_NAMES | {"editor_chance": "k calls,\nby chance", "editor_best": "k calls,\nbest by judge"}

__all__ = ["ARM_COLOURS", "SHORT_NAMES", "WHEN_COLOURS"]
