"""The colours of figures, those of the arms and of the moments before and after RL, and names short enough for a terminal of
80 columns."""

from __future__ import annotations

from experiments.evaluation.names import ARM_NAMES

COLOURS = ("#2563a8", "#d9772b", "#3a8f5c", "#8a4fb0", "#b8324f", "#7a6a3a", "#4aa3b5")
GREYS = ("#9aa5b1", "#5d6b79")
ARM_COLOURS = {
    "editor": GREYS[0],
    "editor_chance": GREYS[1],
    "editor_best": COLOURS[2],
    "agents": COLOURS[1],
    "agents_rl": COLOURS[0],
}
WHEN_COLOURS = {"before": COLOURS[1], "after": COLOURS[0]}
SHORT_NAMES = ARM_NAMES | {"editor_chance": "k calls,\nby chance", "editor_best": "k calls,\nbest by judge"}

__all__ = ["ARM_COLOURS", "COLOURS", "GREYS", "SHORT_NAMES", "WHEN_COLOURS"]
