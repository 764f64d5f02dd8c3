"""The algorithms of the command line. Light to import: a class here holds an algorithm's numbers, and `build` loads the rest.

An algorithm of one's own is such a class in any package, chosen by `algo._target_=package.Class`: a dataclass whose fields are
its keys, with `build(tools: TextTools)` returning an object with `engine`, `vlm` (which has the trained weights after `run`) and
`run(folder, log, progress)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from common.parts import Part
from rl.config import GRPOConfig, OptimizerConfig
from rl.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from agents.backends.base import Backend
    from agents.backends.vlm import VLM
    from benchmarks.base import EditSample
    from rl.anchors import Examples
    from rl.engine.base import Engine
    from rl.gcpo import Ask, EditPair
    from rl.loop import Log, LoopState, Progress
    from rl.loop_rollouts import LoopTools
    from rl.policies.base import Policy
    from rl.policies.text import TextBatch
    from rl.text_rollouts import RewardFn, ToRequest


@dataclass(frozen=True)
class TextTools:
    """What a job gives to an algorithm that trains a language model."""

    load: Callable[[], VLM]  # the start weights, read anew by every call
    engine: Callable[[Callable[[], Policy[TextBatch]], OptimizerConfig, Schedule], Engine[TextBatch]]
    sharded: bool  # whether the engine's weights are never whole, so that rollouts need a model of their own
    backend: Callable[[VLM], Backend]  # what generates rollouts with the weights of this model
    sample: Callable[[int], EditSample]  # training samples by number, a pure function
    to_request: ToRequest
    reward: RewardFn
    anchors: Examples | None  # examples of the start's own training, where they are known
    max_new_tokens: int
    seed: int
    loop: LoopTools | None = (
        None  # for execution=loop: each answer is carried out and scored on its own; `reward` is not used
    )


@dataclass(frozen=True)
class PairTools:
    """What a job gives to GCPO, beside what it gives to every algorithm that trains a language model."""

    load: Callable[[], VLM]  # the start weights, read anew by every call
    engine: Callable[[Callable[[], Policy[TextBatch]], OptimizerConfig, Schedule], Engine[TextBatch]]
    sharded: bool
    backend: Callable[[VLM], Backend]
    pair: Callable[[int], EditPair]  # training pairs by number, a pure function
    ask: Ask
    anchors: Examples | None  # examples of the cold start
    max_new_tokens: int
    seed: int


class TextTraining(Protocol):
    engine: Engine[TextBatch]
    vlm: VLM

    def run(self, folder: Path, log: Log | None = None, progress: Progress | None = None) -> LoopState:
        """Train to the end, going on from what the folder has (`rl/loop.py`)."""
        ...


@dataclass
class GRPO(GRPOConfig, Part):
    """algo=grpo and its variants, conf/algo/*.yaml."""

    def build(self, tools: TextTools) -> TextTraining:
        from rl.text_training import GRPOTraining

        return GRPOTraining(self, tools)


__all__ = ["GRPO", "PairTools", "TextTools", "TextTraining"]
