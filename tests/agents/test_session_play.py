"""Playing sessions: every turn starts from the picture of the turn before, with the intent in the place of the user's words."""

from __future__ import annotations

from typing import Any

import pytest

from agents.editing import EditingAgent
from agents.intent import Intent
from agents.sequencer import RulesSequencer
from agents.session_play import play_sessions
from agents.team import Team
from benchmarks.base import EditSample
from benchmarks.sandbox.generate import make_session
from benchmarks.sandbox.intents import intent_of
from editors.sandbox import SandboxEditor
from judges.sessions.base import PlayedSession
from judges.sessions.sandbox import SandboxSessionJudge

SESSIONS = [make_session("train", 5, i, turns) for i, turns in enumerate((3, 2, 4, 3))]
TEAM = Team(None, RulesSequencer(), EditingAgent(SandboxEditor(), "single"))


class Right:
    """A writer that knows what every turn means."""

    def __init__(self) -> None:
        self.seen: list[EditSample] = []
        self.meant = {t.request: intent_of(t) for s in SESSIONS for t in s.turns}  # type: ignore[arg-type]

    def write(self, samples: list[EditSample]) -> list[Intent]:
        self.seen += samples
        return [Intent("x", self.meant[s.request]) for s in samples]


def test_the_right_intents_and_the_exact_editor_do_every_session() -> None:
    own: Any = Right()
    played = play_sessions(SESSIONS, TEAM, own)
    for session, done in zip(SESSIONS, played, strict=True):
        assert [t.picture.tobytes() for t in done.session.turns] == [t.target.tobytes() for t in session.turns]  # type: ignore[attr-defined]
    verdicts = SandboxSessionJudge().judge_sessions(
        [
            PlayedSession(s, p.session.source, tuple(t.picture for t in p.session.turns))
            for s, p in zip(SESSIONS, played, strict=True)
        ]
    )
    assert all(v.scores["if"] == v.scores["ga"] == 1 for own in verdicts for v in own)


def test_the_writer_sees_the_session_as_it_was_said_and_the_picture_as_it_is() -> None:
    own: Any = Right()
    played = play_sessions(SESSIONS, TEAM, own)
    turns = {(s.history, s.request): s for s in own.seen}
    for session, done in zip(SESSIONS, played, strict=True):
        for k, turn in enumerate(session.turns):
            seen = turns[tuple(t.request for t in session.turns[:k]), turn.request]
            before = done.session.turns[k - 1].picture if k else done.session.source
            assert seen.kind == turn.kind and seen.image is not None and seen.image.tobytes() == before.tobytes()


def test_without_a_writer_the_words_go_to_the_editor() -> None:
    played = play_sessions(SESSIONS[:1], TEAM, None)
    assert [i.instruction for i in played[0].intents] == [t.request for t in SESSIONS[0].turns]
    assert [t.trace.calls[0].instruction for t in played[0].session.turns] == [t.request for t in SESSIONS[0].turns]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_do_not_matter(batch_size: int) -> None:
    own: Any = Right()
    whole = play_sessions(SESSIONS, TEAM, own)
    assert [p.session for p in play_sessions(SESSIONS, TEAM, own, batch_size=batch_size)] == [p.session for p in whole]
    assert [play_sessions([s], TEAM, own)[0].session for s in SESSIONS] == [p.session for p in whole]
