"""The team of a command that edits a person's own pictures: checked first, and each part loaded when it is first needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.editing import EditingAgent
from agents.sequencer import RulesSequencer
from agents.team import Team
from common.third_party import library_lines
from experiments.build.device import device_of, use_threads
from experiments.preflight import own_pictures
from experiments.preflight.unlike_sandbox import refuse
from experiments.runs.libraries import quiet_libraries
from experiments.runs.trained import before_rl, trained, writer_in

if TYPE_CHECKING:
    from PIL import Image

    from agents.intent import IntentWriter
    from conf.schema import TeamUse
    from experiments.runs.team import TeamParts


@dataclass
class TeamLoader:
    """The parts of a configuration, each loaded when it is first needed. `needs_decomposer`: False where a plan is given. What
    libraries write meanwhile, and within `library_lines` from then on, is in log.txt of paths.outputs."""

    config: TeamUse
    command: str
    needs_decomposer: bool = True

    @cached_property
    def decomposer(self) -> Any:
        """The settings of the decomposer: those of the run that is named, with its trained weights, or the configured ones."""
        return trained(self.config)

    def check_settings(self) -> None:
        """Raises BadInput for what cannot work on any picture, before any is read."""
        own_pictures.check_settings(self.config, self.command)

    def allowed(self, pictures: Sequence[tuple[str, Image.Image]], texts: Sequence[tuple[str, str]]) -> list[str]:
        """A sentence for each (name, picture) and (name, text) that is unlike the sandbox where the parts know nothing
        else, and that allow_tiny=true allows. Raises BadInput with the first one otherwise."""
        read = texts if self.needs_decomposer else []
        found = own_pictures.unlike(self.config, self.decomposer, pictures, read)
        return refuse(list(found), self.config.allow_tiny)

    def check_machine(self) -> None:
        """Raises MissingFile naming all that this machine lacks: weights, keys, memory."""
        own_pictures.check_machine(
            self.config, [self.decomposer] if self.needs_decomposer else [], before_rl(self.config)
        )

    @cached_property
    def _parts(self) -> TeamParts:
        from experiments.runs.team import TeamParts  # torch

        quiet_libraries(self.config.verbose, self.config.paths.outputs)
        use_threads(self.config.engine)
        return TeamParts(replace(self.config, decomposer=self.decomposer), Path(before_rl(self.config).checkpoint))

    @cached_property
    def team(self) -> Team:
        parts = self._parts
        with library_lines():
            return parts.team(Path(self.decomposer.checkpoint))

    def plan_team(self, execution: str) -> Team:
        """For plans that are given: the editor alone, which carries sub-requests out in one call or in one call each."""
        parts = self._parts
        with library_lines():
            return Team(None, RulesSequencer(), EditingAgent(parts.editor, execution))

    @cached_property
    def writer(self) -> IntentWriter | None:
        """Of a session's intents, where one is chosen: with the weights of the run that is named, where it trained one."""
        intent = getattr(self.config, "intent", None)
        if intent is None:
            return None
        from experiments.build.rollouts import make_backend

        quiet_libraries(self.config.verbose, self.config.paths.outputs)
        use_threads(self.config.engine)
        with library_lines():
            model = intent.load(device_of(self.config.engine), writer_in(self.config.run))
            return intent.writer(make_backend(self.config.rollouts, model))  # type: ignore[no-any-return]


__all__ = ["TeamLoader"]
