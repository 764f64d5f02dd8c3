"""What puts sub-requests in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.parts import Content, Part, incidental
from common.ranges import number
from conf.parts import build

if TYPE_CHECKING:
    from agents.backends.base import Backend
    from agents.sequencer import RulesSequencer as Rules
    from agents.sequencer import Sequencer
    from agents.vlm_sequencer import VLMSequencer as VLM


@dataclass(frozen=True)
class SequencerTools:
    """`backbone` loads the untrained decomposer's model; call it only where a model is needed."""

    backbone: Callable[[], Backend]


@dataclass
class RulesSequencer(Part):
    name: str = "rules"

    def build(self, tools: SequencerTools) -> Rules:
        from agents.sequencer import RulesSequencer as Rules

        return Rules()


@dataclass
class VLMSequencer(Part):
    """The decomposer's backbone before RL, prompted to put the sub-requests in order."""

    prompt: str = incidental()  # a file of agents/prompts without .txt, or a path; its text defines the run
    name: str = "vlm"
    max_new_tokens: int = number(256, 1, 1_000_000)

    own_backbone = True

    def contents(self) -> Iterator[Content]:
        from agents.prompt_files import prompt_file

        yield Content(prompt_file(self.prompt))

    def build(self, tools: SequencerTools) -> VLM:
        from agents.backends.base import Sampling
        from agents.prompt_files import load_prompt
        from agents.vlm_sequencer import VLMSequencer as VLM

        return VLM(tools.backbone(), load_prompt(self.prompt), Sampling(self.max_new_tokens, 0.0))


def make_sequencer(part: Any, backend: Callable[[], Backend]) -> Sequencer:
    """`backend` gives the untrained backbone, and is only called where a model is needed."""
    return build(part, SequencerTools(backend))


__all__ = ["RulesSequencer", "SequencerTools", "VLMSequencer", "make_sequencer"]
