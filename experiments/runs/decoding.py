"""How much a command decodes, which decides whether an engine's slow start pays (`rollouts.graphs=auto`)."""

from __future__ import annotations

from typing import Any

from experiments.preflight.limits import largest_group


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


__all__ = ["decoding_steps"]
