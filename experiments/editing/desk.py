"""What a command needs before it edits one's own pictures: the checks of settings, machine and pictures, then the team."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.editing import EditingAgent
from agents.sequencer import RulesSequencer
from agents.team import Team
from common.errors import MissingFile
from common.third_party import library_lines
from experiments.build.device import device_of, use_threads
from experiments.preflight.command_limits import check_edit
from experiments.preflight.editor import missing_editor, missing_editor_memory
from experiments.preflight.machine import missing_of, one_process
from experiments.preflight.unlike_sandbox import objections, refuse
from experiments.runs.identity import WRITER, has_writer_alone
from experiments.runs.libraries import quiet_libraries
from experiments.runs.trained import trained

if TYPE_CHECKING:
    from PIL import Image

    from agents.intent import IntentWriter
    from conf.schema import EditConfig, SessionConfig
    from experiments.runs.team import TeamParts


@dataclass
class Desk:
    """The parts of a configuration, each loaded when it is first needed. `needs_decomposer`: False where a plan is given. What
    libraries write meanwhile, and within `library_lines` from then on, is in log.txt of paths.outputs."""

    config: EditConfig | SessionConfig
    command: str
    needs_decomposer: bool = True

    @cached_property
    def decomposer(self) -> Any:
        """The settings of the decomposer: those of the run that is named, with its trained weights, or the configured ones."""
        writes_only = getattr(self.config, "intent", None) is not None and has_writer_alone(self.config.run or "")
        return self.config.decomposer if writes_only else trained(self.config)

    def check_settings(self) -> None:
        """Raises BadInput for what cannot work on any picture, before any is read."""
        check_edit(self.config)
        one_process(self.config.engine, self.command)

    def allowed(self, pictures: Sequence[tuple[str, Image.Image]], texts: Sequence[tuple[str, str]]) -> list[str]:
        """A sentence for each (name, picture) and (name, text) that is unlike the sandbox where the parts know nothing
        else, and that allow_tiny=true allows. Raises BadInput with the first one otherwise."""
        c = replace(self.config, decomposer=self.decomposer)
        found = objections(c, pictures, texts if self.needs_decomposer else [], self.config.unlike)
        return refuse(list(found), self.config.allow_tiny)

    def check_machine(self) -> None:
        """Raises MissingFile naming all that this machine lacks: weights, keys, memory."""
        c = self.config
        asking = [part for part in (getattr(c, "judge", None), getattr(c, "intent", None)) if part is not None]
        lacking = [
            *(missing_of(self.decomposer) if self.needs_decomposer else ()),
            *missing_editor(c.editor),
            *missing_of(*asking),
            *missing_editor_memory(c, decomposer=self.needs_decomposer),
        ]
        if lacking:
            raise MissingFile("; ".join(lacking))

    @cached_property
    def _parts(self) -> TeamParts:
        from experiments.runs.team import TeamParts  # torch

        quiet_libraries(self.config.verbose, self.config.paths.outputs)
        use_threads(self.config.engine)
        # a sequencer that asks a model uses the configured decomposer's backbone, not the trained one
        configured = Path(self.config.decomposer.checkpoint)
        return TeamParts(replace(self.config, decomposer=self.decomposer), configured)

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
        own = Path(self.config.run or "") / WRITER
        checkpoint = own if self.config.run and own.is_dir() else None
        with library_lines():
            model = intent.load(device_of(self.config.engine), checkpoint)
            return intent.writer(make_backend(self.config.rollouts, model))  # type: ignore[no-any-return]


__all__ = ["Desk"]
