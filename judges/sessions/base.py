"""Judging editing sessions turn by turn (arXiv 2606.05950): instruction following, content consistency, global awareness.

Suffixes: K turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from benchmarks.base import EditSession
from common.errors import BadInput
from judges.base import Verdict

# Instruction following: this turn's edit is done. Content consistency: what no turn so far was to change is as in the session's
# first picture. Global awareness: every turn up to this one is done as the whole session means it.
IF, CC, GA = "if", "cc", "ga"
SESSION_SCORES = (IF, CC, GA)


@dataclass(frozen=True)
class PlayedSession:
    """A session and the picture after each of its first K turns, in order; `source` is the picture before the first one."""

    session: EditSession
    source: Image.Image
    pictures: tuple[Image.Image, ...]

    def __post_init__(self) -> None:
        if len(self.pictures) > len(self.session.turns):
            raise BadInput(
                f"session {self.session.id!r} has {len(self.session.turns)} turns, and there are {len(self.pictures)} pictures"
            )

    def before(self, turn: int) -> Image.Image:
        """The picture that a turn (from 0) was made on."""
        return self.pictures[turn - 1] if turn else self.source


class SessionJudge(Protocol):
    """Scores whole sessions; many are given at once, so that models can be asked in batches."""

    def judge_sessions(self, played: Sequence[PlayedSession]) -> list[list[Verdict]]:
        """For each session a verdict on each of its played turns, with the scores `SESSION_SCORES` from 0 to 1 (some may be
        absent: nothing is listed that CC could look at). What cannot be scored is an invalid verdict."""
        ...


__all__ = ["CC", "GA", "IF", "SESSION_SCORES", "PlayedSession", "SessionJudge"]
