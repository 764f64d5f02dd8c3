"""What puts sub-requests in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from common.errors import BadInput
from conf.schema import SequencerConfig

if TYPE_CHECKING:
    from agents.backends.base import Backend
    from agents.sequencer import Sequencer


def make_sequencer(config: SequencerConfig, backend: Callable[[], Backend]) -> Sequencer:
    """`backend` gives the untrained backbone, and is only called where a model is needed."""
    from agents.backends.base import Sampling
    from agents.decomposer import load_prompt
    from agents.sequencer import RulesSequencer
    from agents.vlm_sequencer import VLMSequencer

    match config.name:
        case "rules":
            return RulesSequencer()
        case "vlm":
            return VLMSequencer(backend(), load_prompt(config.prompt), Sampling(config.max_new_tokens, 0.0))
    raise BadInput(f"sequencer={config.name} is unknown; choose rules or vlm")


__all__ = ["make_sequencer"]
