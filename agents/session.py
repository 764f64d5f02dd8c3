"""The state of an editing session: several turns on one picture, with undo, redo and branches; saved and loaded whole.

A session is an immutable value. Every operation gives a new one that shares the turns (and so the pictures) it has in common
with the old one: K rollouts that go on from the same turns cost K tuples, and threads need no lock.

    session = Session.start("holiday", picture)
    session = run_turn(team, [session], ["make the sky darker"])[0]
    session = session.undo()
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from agents.traces import Trace, calls_again, digest, open_picture
from benchmarks.base import EditSample
from common.atomic import atomic_file
from common.errors import BadData, BadInput, MissingFile
from common.files import write_bytes
from common.pictures import to_rgb

if TYPE_CHECKING:
    from agents.editing import Seeds
    from agents.steps import Watch
    from agents.team import Team
    from editors.base import Editor

FILE = "session.json"
PICTURES = "pictures"  # <digest of the pixels>.png: a picture that two turns share is one file
FORMAT = 1


@dataclass(frozen=True)
class SessionTurn:
    """One request and what the team made of it. `intent`: the self-contained request that was decomposed in its place, where
    one was reconstructed from the session (arXiv 2606.05950, session-intent reconstruction)."""

    request: str
    trace: Trace
    intent: str | None = None

    @property
    def picture(self) -> Image.Image:
        """The picture after this turn: the one before where its first call failed (`trace.failure` says so)."""
        return self.trace.result


@dataclass(frozen=True)
class Session:
    """`turns`, oldest first, on the RGB picture `source`. `undone`: turns that `redo` brings back, the next one last.

    Two sessions are equal where ids, requests, traces and digests are; digests stand for the pictures.
    """

    id: str
    source: Image.Image = field(compare=False, repr=False)
    source_digest: str
    turns: tuple[SessionTurn, ...] = ()
    undone: tuple[SessionTurn, ...] = ()

    @classmethod
    def start(cls, id: str, source: Image.Image) -> Session:
        """A session without turns. `id` also fixes the editor's seeds (with the number of the turn and of the call)."""
        source = to_rgb(source)
        return cls(id, source, digest(source))

    @property
    def picture(self) -> Image.Image:
        """The picture that the next turn starts from."""
        return self.turns[-1].picture if self.turns else self.source

    @property
    def picture_digest(self) -> str:
        return self.turns[-1].trace.digests[-1] if self.turns else self.source_digest

    @property
    def history(self) -> tuple[str, ...]:
        """The requests so far as they were given, oldest first: what a decomposer's prompt takes."""
        return tuple(turn.request for turn in self.turns)

    def sample(self, request: str, intent: str | None = None) -> EditSample:
        """What the team gets for the next turn. The id is that of a benchmark's turn: `<session>-<turn, from 1>`.

        With a reconstructed `intent`, that is the request, and the history is empty: an intent is self-contained.
        """
        id_, picture = f"{self.id}-{len(self.turns) + 1}", self.picture
        if intent is not None:
            return EditSample(id_, intent, (), picture=picture)
        return EditSample(id_, request, (), history=self.history, picture=picture)

    def append(self, turn: SessionTurn) -> Session:
        """The session with one more turn; what was undone can no longer be redone.

        Raises BadInput where the turn's trace does not start from this session's picture and history.
        """
        expected, trace = self.sample(turn.request, turn.intent), turn.trace
        if (trace.request, trace.history) != (expected.request, expected.history):
            raise BadInput(
                f"session {self.id!r}, turn {len(self.turns) + 1}: the trace answers {trace.request!r} after "
                f"{len(trace.history)} earlier requests, the session expects {expected.request!r} after {len(expected.history)}; "
                "run the turn on this session"
            )
        if len(trace.pictures) != len(trace.digests):
            raise BadInput(f"the trace of {trace.sample_id!r} was loaded without its pictures; load it with them")
        if not trace.digests or trace.digests[0] != self.picture_digest:
            raise BadInput(
                f"session {self.id!r}, turn {len(self.turns) + 1}: the trace starts from another picture than the session's "
                "last one; run the turn on this session"
            )
        return replace(self, turns=(*self.turns, turn), undone=())

    def undo(self, n: int = 1) -> Session:
        """The session before its last `n` turns, which `redo` brings back. Raises BadInput where there are fewer."""
        if not 0 <= n <= len(self.turns):
            raise BadInput(f"session {self.id!r} has {len(self.turns)} turns; {n} of them cannot be undone")
        kept = len(self.turns) - n
        return replace(self, turns=self.turns[:kept], undone=(*self.undone, *reversed(self.turns[kept:])))

    def redo(self, n: int = 1) -> Session:
        """The last `n` undone turns again, as they were. Raises BadInput where there are fewer, e.g. after a new turn."""
        if not 0 <= n <= len(self.undone):
            raise BadInput(f"session {self.id!r} has {len(self.undone)} undone turns; {n} of them cannot be redone")
        kept = len(self.undone) - n
        return replace(self, turns=(*self.turns, *reversed(self.undone[kept:])), undone=self.undone[:kept])

    def branch(self, turns: int | None = None, id: str | None = None) -> Session:
        """Another session that begins with the first `turns` turns of this one (None: all) and has nothing undone.

        Rollouts that should differ need an `id` each: the editor's seeds are derived from it. Raises BadInput.
        """
        turns = len(self.turns) if turns is None else turns
        if not 0 <= turns <= len(self.turns):
            raise BadInput(f"session {self.id!r} has {len(self.turns)} turns; there is no branch after turn {turns}")
        return replace(self, id=self.id if id is None else id, turns=self.turns[:turns], undone=())

    def save(self, folder: str | Path) -> Path:
        """Write the pictures and then `session.json`; a kill in between leaves the session that was saved before.

        Pictures that neither a turn nor an undone turn shows any more are deleted at the end. Raises SaveFailed.
        """
        folder = Path(folder)
        remedy = "The session saved before is intact. Free some space or choose another folder"
        pictures = {self.source_digest: self.source}
        for turn in (*self.turns, *self.undone):
            pictures.update(zip(turn.trace.digests, turn.trace.pictures, strict=True))
        for name, picture in pictures.items():
            if not (path := _picture_path(folder, name)).is_file():
                with atomic_file(path, remedy=remedy) as file:
                    picture.save(file, format="PNG", compress_level=1)
        values = {
            "format": FORMAT,
            "id": self.id,
            "source": self.source_digest,
            "turns": [_turn_to_dict(turn) for turn in self.turns],
            "undone": [_turn_to_dict(turn) for turn in self.undone],
        }
        write_bytes(folder / FILE, (json.dumps(values, indent=1) + "\n").encode(), remedy=remedy)
        for path in (folder / PICTURES).glob("*.png"):
            if path.stem not in pictures:
                path.unlink(missing_ok=True)
        return folder / FILE

    @classmethod
    def load(cls, folder: str | Path) -> Session:
        """Read what `save` wrote. Raises MissingFile where a file is absent, BadData where one was changed or damaged."""
        path = Path(folder) / FILE
        pictures = _Pictures(Path(folder))
        try:
            text = path.read_bytes()
        except OSError as error:
            raise MissingFile(
                f"there is no session at {path} ({error.strerror}); give the folder that a session was saved to"
            ) from error
        try:
            raw = json.loads(text)
            if raw["format"] != FORMAT:
                raise BadData(
                    f"{path} has format {raw['format']!r}; this version reads {FORMAT}. Update, or start a new session"
                )
            session = cls(str(raw["id"]), pictures.open(raw["source"]), raw["source"])
            for turn in [*raw["turns"], *reversed(raw["undone"])]:
                session = session.append(_turn_from_dict(turn, pictures))
            return session.undo(len(raw["undone"]))
        except BadData:  # says already what is wrong
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadData(
                f"{path} is not a session ({type(error).__name__}: {error}); restore or delete the file"
            ) from error


def run_turn(
    team: Team,
    sessions: Sequence[Session],
    requests: Sequence[str],
    *,
    intents: Sequence[str | None] | None = None,
    seed: Seeds = 0,
    batch_size: int = 16,
    watch: Watch | None = None,
    plans: Sequence[Sequence[str]] | None = None,
) -> list[Session]:
    """One more turn in each session by the team, in batches, in order; `intents[i]` None: the request is decomposed as it is.
    `plans`: the sub-requests of each turn as a person gave them, carried out without a decomposer. `seed`: of all sessions,
    or one of each. `watch` hears of every step.

    A turn whose edit failed is appended too, with the last picture there was; its trace says why (`undo` takes it back).
    Raises BadInput for an empty request, before anything is run, and what the models raise; the sessions given are unchanged.
    """
    intents = [None] * len(sessions) if intents is None else intents
    samples = [s.sample(r, i) for s, r, i in zip(sessions, requests, intents, strict=True)]
    if plans is None:
        batches = team.run(samples, seed, batch_size, watch=watch)
    else:
        batches = team.carry_out(samples, plans, seed, batch_size, watch=watch)
    traces: Iterable[Trace] = (trace for batch in batches for trace in batch)
    rows = zip(sessions, requests, intents, traces, strict=True)
    return [session.append(SessionTurn(request, trace, intent)) for session, request, intent, trace in rows]


def replay_session(session: Session, editor: Editor) -> Session:
    """The same calls again from the source picture, each turn on the replayed picture of the turn before.

    With the same editor the result equals the session. Decompositions and sub-requests are taken as they are.
    """
    replayed = Session.start(session.id, session.source)
    for turn in session.turns:
        given = replayed.picture
        result = calls_again(turn.trace, given, editor)
        pictures = (given, *result.pictures)
        trace = replace(
            turn.trace, pictures=pictures, digests=tuple(digest(p) for p in pictures), failure=result.failure
        )
        replayed = replayed.append(replace(turn, trace=trace))
    return replayed


class _Pictures:
    """The pictures of a saved session by digest, each opened and checked once and shared by the turns that show it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: dict[str, Image.Image] = {}

    def open(self, name: str) -> Image.Image:
        if name not in self.opened:
            self.opened[name] = open_picture(_picture_path(self.folder, name), name)
        return self.opened[name]


def _picture_path(folder: Path, name: str) -> Path:
    if not isinstance(name, str) or not name.isalnum():
        raise ValueError(f"{name!r} is no digest of a picture")
    return folder / PICTURES / f"{name}.png"


def _turn_to_dict(turn: SessionTurn) -> dict[str, Any]:
    return {"request": turn.request, "intent": turn.intent, "trace": turn.trace.to_dict()}


def _turn_from_dict(raw: dict[str, Any], pictures: _Pictures) -> SessionTurn:
    trace = Trace.from_dict(raw["trace"])
    trace = replace(trace, pictures=tuple(pictures.open(name) for name in trace.digests))
    return SessionTurn(raw["request"], trace, raw["intent"])


__all__ = ["FILE", "Session", "SessionTurn", "replay_session", "run_turn"]
