"""The examples that a tiny decomposer's start was made of: for a supervised start of another size, and for a supervised term
beside RL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agents.prompt_files import load_prompt
from common.errors import BadInput
from experiments.tiny.coldstart import SECOND_PART, ColdStart
from experiments.tiny.directstart import DirectMix, DirectStart
from rl.anchors import Examples

SEED = 7_000_000  # beyond those of pretraining, so that the examples are new ones of the same kinds


def start_examples(decomposer: Any, seed: int, guesses: bool = False) -> Examples | None:
    """Batches by step and size; None for a decomposer that was not made here. Beside RL guesses are left out: what a request
    means is for RL to find out."""
    recipe = getattr(decomposer, "recipe", "")
    if not recipe:
        return None
    template = load_prompt(decomposer.prompt)
    start: DirectStart | ColdStart = ColdStart(template, SECOND_PART, SEED + seed)
    if recipe == "direct":
        mix = DirectMix() if guesses else replace(DirectMix(), guess_share=0.0, nonsense_share=0.0)
        start = DirectStart(template, mix, SEED + seed)
    return start.batch


def recipe_examples(decomposer: Any, seed: int) -> Examples:
    """What the recipe itself shows, with its guesses. Raises BadInput for a decomposer without a recipe."""
    found = start_examples(decomposer, seed, guesses=True)
    if found is None:
        raise BadInput(
            f"decomposer.examples=recipe: decomposer={decomposer.name} has no recipe; take decomposer.examples=benchmark"
        )
    return found


__all__ = ["SEED", "recipe_examples", "start_examples"]
