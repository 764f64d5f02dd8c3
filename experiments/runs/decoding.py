"""What a run will ask of its rollout engine: how much it decodes, which decides whether an engine's slow start pays
(`rollouts.graphs=auto`), and the adapters that it trains (`rollouts.adapters`)."""

from __future__ import annotations

from typing import Any

from agents.backends.lora import AdapterShape
from experiments.preflight.limits import largest_group


def expectations(config: Any) -> tuple[int, AdapterShape | None]:
    """The arguments of `owned_engines` for a run."""
    return decoding_steps(config), trained_adapters(config)


def trained_adapters(config: Any) -> AdapterShape | None:
    """Those of the language model that a run trains; None where it trains none, or whole weights."""
    side = getattr(config.algo, "text", config.algo)  # of a training of sessions
    lora = getattr(side, "lora", None)
    if lora is None or not lora.rank or not hasattr(side, "frozen_vision") or not getattr(side, "weight", 1):
        return None
    return AdapterShape(lora.rank, lora.alpha, vision=not side.frozen_vision)


def decoding_steps(config: Any) -> int:
    """Tokens that a run asks its rollout engine for one after another: answers of the trainings and of the evaluations, at full
    length, `rollouts.batch_size` side by side."""
    answer = getattr(config.decomposer, "max_new_tokens", 0)  # a part of one's own may have no such number
    together = max(1, getattr(config.rollouts, "batch_size", 1))
    algo, scale = config.algo, config.scale
    drawn = getattr(algo, "prompts_per_step", 0) * largest_group(algo)
    training = getattr(algo, "steps", 0) * -(-drawn // together)
    evaluated = scale.test_samples * (2 + scale.draws)  # before and after, and the draws of pass@k
    return answer * (training + -(-evaluated // together))


__all__ = ["decoding_steps", "expectations", "trained_adapters"]
