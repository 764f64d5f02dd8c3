"""One turn of a MICE-Bench session (Edit-R2, arXiv 2606.05950) as its judge sees it, and what it is given for one score."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from PIL import Image

from common.errors import BadInput
from judges.sessions.base import PlayedSession

FACTS = ("task_type", "formatted_instruction", "unchanged_objects", "all_objects", "bg_consistency")  # of every turn


@dataclass(frozen=True)
class Turn:
    """Turn `number` (from 0) of a session that was played at least so far."""

    played: PlayedSession
    number: int

    @property
    def first(self) -> Image.Image:
        """The picture that the session began with."""
        return self.played.source

    @property
    def before(self) -> Image.Image:
        return self.played.before(self.number)

    @property
    def after(self) -> Image.Image:
        return self.played.pictures[self.number]

    @cached_property
    def fitted(self) -> Image.Image:
        """The result in the size of the session's first picture."""
        same = self.after.size == self.first.size
        return self.after if same else self.after.resize(self.first.size, Image.Resampling.LANCZOS)

    @property
    def task_type(self) -> str:
        return str(self._fact("task_type"))

    @property
    def formatted(self) -> str:
        """The instruction with its arguments in brackets, pronouns resolved."""
        return str(self._fact("formatted_instruction"))

    @property
    def unchanged(self) -> tuple[str, ...]:
        """Objects of the first picture that no turn so far was to change."""
        return self._names("unchanged_objects")

    @property
    def objects(self) -> tuple[str, ...]:
        """All objects that the session has had so far."""
        return self._names("all_objects")

    @property
    def keeps_background(self) -> bool:
        """Whether no turn so far was to change the background."""
        return bool(self._fact("bg_consistency"))

    def _names(self, key: str) -> tuple[str, ...]:
        names = self._fact(key)
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise BadInput(f"{self._where}: {key!r} should be a list of names but is {names!r}")
        return tuple(name for name in names if name.strip())

    def _fact(self, key: str) -> Any:
        facts = getattr(self.played.session.turns[self.number], "facts", {})
        if key not in facts:
            raise BadInput(
                f"{self._where} has no {key!r}; the judge of MICE-Bench needs {', '.join(FACTS)} of every turn, which "
                "benchmark=mice has"
            )
        return facts[key]

    @property
    def _where(self) -> str:
        return f"session {self.played.session.id!r}, turn {self.number + 1}"


@dataclass(frozen=True)
class Score:
    """One of a turn's scores, from 0 to 1. None: a call failed, and `note` says which. `note` also says where a rule of the
    protocol gave the score without looking at the pictures; `raw` is what it came from, as plain JSON."""

    value: float | None
    note: str = ""
    raw: dict[str, Any] = field(default_factory=dict)


__all__ = ["FACTS", "Score", "Turn"]
