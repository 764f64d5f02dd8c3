"""What the server offers as models: the team, before or after RL, and the editor alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from agents.editing import REFUSED
from agents.team import Team
from agents.traces import Trace, digest
from benchmarks.base import EditSample
from common.errors import ImageEditError, RunFailed
from common.pictures import notes_of
from editors.base import Editor, LimitedEditor
from editors.outcomes import EditsFailed


class ContentRefused(RunFailed):
    """A content filter refused; another try gives the same."""


@dataclass(frozen=True)
class Ask:
    """One picture that somebody wants: of which model, from which picture (RGB), by which request and seed."""

    model: str
    picture: Image.Image
    prompt: str
    seed: int


@dataclass(frozen=True)
class Made:
    """`plan` has plain JSON values: what was decomposed, planned and called."""

    picture: Image.Image
    plan: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class Arm(Protocol):
    @property
    def about(self) -> str: ...

    def make(self, asks: Sequence[Ask]) -> list[Made | ImageEditError]: ...


@dataclass(frozen=True)
class EditorArm:
    """The editor alone: prompt and seed reach it as they are, so that another project's `editor=served` gets the very picture
    that the editor would give it."""

    editor: Editor
    about: str = "the editor alone: it gets the prompt as it is"

    def make(self, asks: Sequence[Ask]) -> list[Made | ImageEditError]:
        prompts = [ask.prompt for ask in asks]
        cuts = self.editor.unread(prompts) if isinstance(self.editor, LimitedEditor) else [""] * len(asks)
        try:
            pictures = self.editor.edit([ask.picture for ask in asks], prompts, [ask.seed for ask in asks])
        except EditsFailed as failed:
            return [
                _failed(o.reason, o.refused) if o.image is None else self._made(o.image, ask, cut)
                for o, ask, cut in zip(failed.outcomes, asks, cuts, strict=True)
            ]
        return [self._made(picture, ask, cut) for picture, ask, cut in zip(pictures, asks, cuts, strict=True)]

    def _made(self, picture: Image.Image, ask: Ask, cut: str) -> Made:
        notes = (*notes_of(ask.picture), *((cut,) if cut else ()))
        return Made(picture, {"calls": [{"instruction": ask.prompt, "seed": ask.seed}]}, notes)


@dataclass(frozen=True)
class TeamArm:
    """The team. The pixels and the seed decide the seeds of the calls, as in `experiments.edit`, whose pictures it gives."""

    team: Team
    about: str = "the team: the request is decomposed, put in order and carried out"

    def make(self, asks: Sequence[Ask]) -> list[Made | ImageEditError]:
        samples = [EditSample(digest(ask.picture), ask.prompt, gold=(), picture=ask.picture) for ask in asks]
        traces = next(iter(self.team.run(samples, [ask.seed for ask in asks], len(samples))))
        return [_of_trace(trace) for trace in traces]


def _of_trace(trace: Trace) -> Made | ImageEditError:
    if trace.failure:
        return _failed(trace.failure, REFUSED in trace.failure)
    whole = trace.to_dict()
    return Made(trace.result, {name: whole[name] for name in PLAN if name in whole}, trace.notes)


PLAN = ("text", "decomposition", "error", "source", "sub_requests", "execution", "calls", "turns", "timings")


def _failed(reason: str, refused: bool) -> ImageEditError:
    kind = ContentRefused if refused else RunFailed
    return kind(f"the editor gave no picture: {reason}")


@dataclass(frozen=True)
class Arms:
    """All of them by their names; the last one is the default. `experiments.serving.batching.Models`."""

    by_name: Mapping[str, Arm] = field(default_factory=dict)

    def group(self, ask: Ask) -> Hashable:
        return ask.model

    def make(self, asks: Sequence[Ask]) -> list[Made | ImageEditError]:
        return self.by_name[asks[0].model].make(asks)


__all__ = ["Arm", "Arms", "Ask", "ContentRefused", "EditorArm", "Made", "TeamArm"]
