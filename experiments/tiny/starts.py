"""The examples that a tiny decomposer's start was made of, for a supervised term beside RL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agents.prompt_files import load_prompt
from experiments.tiny.coldstart import SECOND_PART, ColdStart
from experiments.tiny.directstart import DirectMix, DirectStart
from rl.anchors import Examples

SEED = 7_000_000  # beyond those of pretraining, so that the examples are new ones of the same kinds


def start_examples(decomposer: Any, seed: int) -> Examples | None:
    """Batches by step and size; None for a decomposer that was not made here. Guesses are left out: what a request means
    is for RL to find out."""
    recipe = getattr(decomposer, "recipe", "")
    if not recipe:
        return None
    template = load_prompt(decomposer.prompt)
    start: DirectStart | ColdStart = ColdStart(template, SECOND_PART, SEED + seed)
    if recipe == "direct":
        start = DirectStart(template, replace(DirectMix(), guess_share=0.0, nonsense_share=0.0), SEED + seed)
    return start.batch


__all__ = ["SEED", "start_examples"]
