"""The algorithms of the command line. Light to import: a class here holds an algorithm's numbers, and `build` loads the rest.

An algorithm of one's own is such a class in any package, chosen by `algo._target_=package.Class`: a dataclass whose fields are
its keys, with `build(tools: TextTools)` returning an object with `engine`, `vlm` (which has the trained weights after `run`) and
`run(folder, log, progress)`. Where it trains an editor, it is `build(tools: FlowTools)`, and `flow` in the place of `vlm`; where
it trains on sessions, `build(tools: SessionTools)` and both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from common.parts import Part
from rl.config import GRPOConfig, OptimizerConfig
from rl.flow_config import FlowGRPOConfig, NFTConfig
from rl.schedule import Schedule
from rl.session_config import SessionRLConfig

if TYPE_CHECKING:
    from pathlib import Path

    from agents.backends.base import Backend
    from agents.backends.vlm import VLM
    from benchmarks.base import EditSample, EditSession
    from editors.flow import FlowModel
    from rl.anchors import Examples
    from rl.engine.base import Engine
    from rl.flow_rollouts import Instruct, PictureReward
    from rl.gcpo import Ask, EditPair
    from rl.loop import Log, LoopState, Progress, Ranks
    from rl.loop_rollouts import LoopTools
    from rl.policies.base import Policy
    from rl.policies.flow import FlowBatch
    from rl.policies.text import TextBatch
    from rl.session_rollouts import SessionReward
    from rl.text_rollouts import RewardFn, ToRequest
    from rl.watch import WatchScore


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


@dataclass(frozen=True)
class FlowTools:
    """What a job gives to an algorithm that trains a flow editor."""

    load: Callable[[], FlowModel]  # the start weights, read anew by every call
    engine: Callable[[Callable[[], Policy[FlowBatch]], OptimizerConfig, Schedule], Engine[FlowBatch]]
    sharded: bool  # whether the engine's weights are never whole, so that rollouts need a model of their own
    sample: Callable[[int], EditSample]  # training samples by number, a pure function
    instruction: Instruct  # what the editor is told to do with a sample's picture
    reward: PictureReward
    seed: int
    watch: WatchScore | None = None  # a judge that trains nothing, scores in [0, 1]; None: pictures are only measured


@dataclass(frozen=True)
class SessionTools:
    """What a job gives to an algorithm that trains on sessions."""

    load_writer: Callable[[], VLM]  # the start weights, read anew by every call
    load_editor: Callable[[], FlowModel]
    text_engine: Callable[[Callable[[], Policy[TextBatch]], OptimizerConfig, Schedule], Engine[TextBatch]]
    flow_engine: Callable[[Callable[[], Policy[FlowBatch]], OptimizerConfig, Schedule], Engine[FlowBatch]]
    sharded: bool  # whether the engines' weights are never whole, so that rollouts need models of their own
    backend: Callable[[VLM], Backend]
    session: Callable[[int], EditSession]  # training sessions by number, a pure function
    to_request: ToRequest  # a turn -> what the writer is asked
    reward: SessionReward
    max_new_tokens: int  # of one intent
    seed: int


class SessionTraining(Protocol):
    vlm: VLM
    ranks: Ranks  # the processes that train together

    @property
    def flow(self) -> FlowModel:
        """The editor's model; after `run` with the trained weights, adapters merged."""
        ...

    def run(self, folder: Path, log: Log | None = None, progress: Progress | None = None) -> LoopState:
        """Train to the end, going on from what the folder has (`rl/loop.py`)."""
        ...


class FlowTraining(Protocol):
    engine: Engine[FlowBatch]

    @property
    def flow(self) -> FlowModel:
        """The editor's model; after `run` with the weights that are worth keeping, adapters merged."""
        ...

    def run(self, folder: Path, log: Log | None = None, progress: Progress | None = None) -> LoopState:
        """Train to the end, going on from what the folder has (`rl/loop.py`)."""
        ...


@dataclass
class GRPO(GRPOConfig, Part):
    """algo=grpo and its variants, conf/algo/*.yaml."""

    def build(self, tools: TextTools) -> TextTraining:
        from rl.text_training import GRPOTraining

        return GRPOTraining(self, tools)


@dataclass
class FlowGRPO(FlowGRPOConfig, Part):
    """algo=flow_grpo and its variants, conf/algo/*.yaml."""

    def build(self, tools: FlowTools) -> FlowTraining:
        from rl.flow_training import FlowGRPOTraining

        return FlowGRPOTraining(self, tools)


@dataclass
class NFT(NFTConfig, Part):
    """algo=nft."""

    def build(self, tools: FlowTools) -> FlowTraining:
        from rl.flow_training import NFTTraining

        return NFTTraining(self, tools)


@dataclass
class SessionRL(SessionRLConfig, Part):
    """algo=edit_r2 and its variants."""

    def build(self, tools: SessionTools) -> SessionTraining:
        from rl.session_training import SessionTraining

        return SessionTraining(self, tools)


__all__ = [
    "GRPO",
    "NFT",
    "FlowGRPO",
    "FlowTools",
    "FlowTraining",
    "PairTools",
    "SessionRL",
    "SessionTools",
    "SessionTraining",
    "TextTools",
    "TextTraining",
]
