"""A small supervised term beside GRPO's: examples of what the start can do, so that it is not unlearnt.

The rewards of GRPO see the final answer alone. What a policy says on the way (what stands where in the picture), and requests
that it answers well already, drift while nothing pulls them back. An example is treated as an answer that was drawn from the
policy as it is, with a fixed positive advantage: at a ratio of 1 its gradient is that of supervised training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.backends.vlm import VLM, EncodedPrompt
from rl.sft import SFTExample, answer_ids

Examples = Callable[[int, int], Sequence[SFTExample]]  # (step, how many) -> all ranks' examples, a pure function


@dataclass(frozen=True, eq=False)
class Anchor:
    """An example in tokens, with the advantage that gives the supervised term its weight."""

    prompt: EncodedPrompt
    token_ids: Sequence[int]
    advantage: float = 1.0

    @property
    def logprobs(self) -> list[float]:
        """No engine drew these tokens, so there is no probability to correct for."""
        return [float("nan")] * len(self.token_ids)


def tokenized(vlm: VLM, examples: Sequence[SFTExample]) -> list[Anchor]:
    prompts = vlm.encode([e.request for e in examples]) if examples else []
    return [Anchor(prompt, answer_ids(vlm, e.answer)) for prompt, e in zip(prompts, examples, strict=True)]


__all__ = ["Anchor", "Examples", "tokenized"]
