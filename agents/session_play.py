"""Playing the sessions of a benchmark: each turn's intent is written, where there is a writer, and carried out by the team."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.intent import Intent, IntentWriter
from agents.session import Session, run_turn
from agents.steps import Intended, Watch
from agents.team import Team, picture_of
from benchmarks.base import EditSession


@dataclass(frozen=True)
class Played:
    """A session with the turns that were played, and the intent of each."""

    session: Session
    intents: tuple[Intent, ...]


def play_sessions(
    sessions: Sequence[EditSession], team: Team, writer: IntentWriter | None, seed: int = 0, batch_size: int = 16
) -> list[Played]:
    """Every turn of every session, each on the picture of the turn before it. Without a writer what the user says is carried out as
    it is. Sessions may have different numbers of turns. A session's results depend on it and on `seed` alone (but for rounding in
    batches). Raises BadInput for a session without a picture.
    """
    states = [Session.start(s.id, picture_of(s.turns[0])) for s in sessions]
    intents: list[list[Intent]] = [[] for _ in sessions]
    for k in range(max((len(s.turns) for s in sessions), default=0)):
        alive = [i for i, s in enumerate(sessions) if k < len(s.turns)]
        own = [states[i] for i in alive]
        requests = [sessions[i].turns[k].request for i in alive]
        written = intents_of(writer, own, requests, [sessions[i].turns[k].kind for i in alive])
        told = [None if writer is None or not w.text else w.instruction for w in written]
        for i, state, intent in zip(
            alive, run_turn(team, own, requests, intents=told, seed=seed, batch_size=batch_size), written, strict=True
        ):
            states[i] = state
            intents[i].append(intent)
    return [Played(state, tuple(own)) for state, own in zip(states, intents, strict=True)]


def intents_of(
    writer: IntentWriter | None, sessions: Sequence[Session], requests: Sequence[str], modes: Sequence[str]
) -> list[Intent]:
    """What the next turn of each session means. `modes` are those of agents/intent.py."""
    if writer is None:
        return [Intent("", request) for request in requests]
    rows = zip(sessions, requests, modes, strict=True)
    return writer.write([replace(session.sample(request), kind=mode) for session, request, mode in rows])


def intent_of(writer: IntentWriter | None, session: Session, request: str, watch: Watch | None = None) -> str | None:
    """What a person's next turn means by itself, for `run_turn(intents=[…])`: None where nobody writes it, and in a first turn.
    `watch` hears of it. Raises BadInput for an empty request."""
    if writer is None:
        return None
    (intent,) = intents_of(writer, [session], [request], ["free"])
    if not intent.text:
        return None
    if watch is not None:
        watch(Intended(session.sample(request).id, intent.instruction, intent.fallback))
    return intent.instruction


__all__ = ["Played", "intent_of", "intents_of", "play_sessions"]
