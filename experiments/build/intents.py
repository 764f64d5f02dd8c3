"""The intent writer of sessions (arXiv 2606.05950): a vision-language model that says what a turn means by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from common.parts import incidental
from common.ranges import MANY, number
from experiments.build.decomposers import VLMDecomposer
from rl.config import SFTConfig

if TYPE_CHECKING:
    from agents.backends.base import Backend, ModelRequest
    from agents.intent import IntentWriter
    from benchmarks.base import EditSample


@dataclass
class IntentSFTConfig(SFTConfig):
    """Supervised training of a writer on a benchmark's own intents, for experiment=mice_intents."""

    group: ClassVar[str] = "intent.sft."
    steps: int = number(700, 1, MANY)


@dataclass
class IntentModel(VLMDecomposer):
    """As a decomposer, with another prompt and another answer. `load` gives the model that is trained."""

    role: ClassVar[str] = "intent writer"

    prompt: str = incidental("intent")
    base: str = incidental("")  # of the tiny one: the decomposer that experiments.pretrain begins with
    max_new_tokens: int = number(300, 1, 1_000_000)  # of one intent with its thought; Edit-R2: 150 in training
    sft: IntentSFTConfig = field(default_factory=IntentSFTConfig)

    def to_request(self) -> Callable[[EditSample], ModelRequest]:
        from agents.intent import build_intent_request
        from agents.prompt_files import load_prompt

        template = load_prompt(self.prompt)
        return lambda sample: build_intent_request(template, sample, self.max_request_chars)

    def writer(self, backend: Backend) -> IntentWriter:
        """The writer as it is evaluated."""
        from agents.backends.base import Sampling
        from agents.intent import IntentWriter
        from agents.prompt_files import load_prompt

        sampling = Sampling(self.max_new_tokens, self.temperature)
        return IntentWriter(backend, load_prompt(self.prompt), sampling, self.max_request_chars)


__all__ = ["IntentModel", "IntentSFTConfig"]
