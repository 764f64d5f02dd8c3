"""The one place where a team is assembled from a configuration: for a run's arms, for evaluations, and for one's own picture."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from agents.backends.base import Backend
from agents.decomposer import Decomposer
from agents.editing import EditingAgent
from agents.loop_team import LoopTeam
from agents.sequencer import RulesSequencer
from agents.team import Team
from conf.schema import ExecutionConfig
from editors.base import Editor
from experiments.build.decomposers import make_decomposer, make_vlm
from experiments.build.editors import make_editor
from experiments.build.rollouts import make_backend
from experiments.build.sequencers import make_sequencer


class TeamConfig(Protocol):
    """The groups of a configuration that a team is made of."""

    decomposer: Any
    sequencer: Any
    editor: Any
    execution: ExecutionConfig
    rollouts: Any
    engine: Any


@dataclass
class TeamParts:
    """The parts of a team, each loaded when it is first needed. `start` is the decomposer before RL, whose backbone a
    sequencer that asks a model uses too. `edits`: how many will be asked for, 0 where that is not known."""

    config: TeamConfig
    start: Path
    edits: int = 0

    @cached_property
    def editor(self) -> Editor:
        """Loaded once for all arms: a published one takes minutes."""
        return make_editor(self.config.editor, self.config.engine, edits=self.edits)

    def backend(self, checkpoint: Path) -> Backend:
        c = self.config
        return make_backend(c.rollouts, make_vlm(c.decomposer, c.engine, checkpoint))

    def decomposer(self, checkpoint: Path) -> Decomposer:
        gc.collect()  # the model of the phase before
        return make_decomposer(self.config.decomposer, self.backend(checkpoint))

    def team(self, checkpoint: Path | None) -> Team:
        """The team with this decomposer; without one, the raw request goes straight to the editor."""
        execution, limit = self.config.execution.name, self.config.decomposer.max_request_chars
        loop = self.config.execution.looped
        if checkpoint is None:
            return Team(None, RulesSequencer(), EditingAgent(self.editor, "single" if loop else execution), limit)
        decomposer = self.decomposer(checkpoint)
        sequencer = make_sequencer(self.config.sequencer, lambda: self.backend(self.start))
        if loop:
            return LoopTeam(decomposer, sequencer, EditingAgent(self.editor), limit, self.config.execution.max_calls)
        return Team(decomposer, sequencer, EditingAgent(self.editor, execution), limit)


__all__ = ["TeamConfig", "TeamParts"]
