"""The team at work for several people: their sessions, one turn after another, and every step as it happens. It knows no page.

    workshop = Workshop(team, limits)
    key = workshop.open(owner, data, "photo.jpg")
    for step in workshop.edit(owner, key, "make the sky darker"): ...
    png = workshop.png(owner, key, name)

Safe to be used from any thread. One thread of its own has the models, so that turns are carried out one after another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Queue
from typing import NoReturn, TypeVar

from PIL import Image

from agents.decomposer import clean_request
from agents.intent import IntentWriter
from agents.session import Session, run_turn
from agents.session_play import intent_of
from agents.steps import Called, Step, Watch
from agents.team import Team
from agents.traces import digest
from common.errors import BadInput, ImageEditError
from common.pictures import Picture
from experiments.serving.desk import Desk, Draft, Turn
from experiments.serving.limits import PictureLimits

T = TypeVar("T")
LOOK_S = 0.3  # seconds between two looks at what waits
STOPPED = "stopped; the picture is as it was"
Refuse = Callable[[Sequence[tuple[str, Image.Image]], Sequence[tuple[str, str]]], list[str]]


class Stopped(ImageEditError):
    """A person gave the turn up, or went away."""


class Gone(BadInput):
    """There is no such session, or none of this browser."""


@dataclass(frozen=True)
class Waiting:
    """`before` turns of others come first."""

    before: int


@dataclass(frozen=True)
class Rules:
    """How much the workshop takes on: turns that wait, turns of a session, sessions and bytes of pictures that are kept."""

    queue: int = 16
    turns: int = 50
    sessions: int = 64
    idle_s: float = 3600.0
    held: int = 2_000_000_000


class Workshop:
    """`prepare` is called once in the thread that uses the team. `refuse` gets named pictures and texts before they are used: it
    raises BadInput, or returns sentences that the person should read. `writer`: says what each turn means by itself."""

    def __init__(
        self,
        team: Team,
        limits: PictureLimits,
        rules: Rules | None = None,
        seed: int = 0,
        refuse: Refuse = lambda pictures, texts: [],
        prepare: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        writer: IntentWriter | None = None,
    ) -> None:
        self.team, self.limits, self.rules, self.seed = team, limits, rules or Rules(), seed
        self.refuse, self.clock, self.writer = refuse, clock, writer
        self._desks: dict[str, Desk] = {}  # the one unused for longest first
        self._lock = threading.RLock()
        self._line: list[Turn] = []  # the turn in progress, and those that wait
        self._bench = ThreadPoolExecutor(1, "team", initializer=prepare)

    # ------------------------------------------------------------------------------------------------------- sessions
    def open(self, owner: str, data: bytes, name: str) -> tuple[str, list[str]]:
        """A session on the picture in an uploaded file: its key, and what the person should know of it. Raises BadInput."""
        given = self.limits.read(data, name)
        notes = [*given.notes, *self.refuse([(name, given.rgb)], [])]
        if given.alpha is not None:
            notes.append("The picture is shown and edited over white; the download has its transparency again.")
        return self._place(owner, given, name), notes

    def open_scene(self, owner: str, scene: Image.Image, title: str) -> str:
        """A session on a picture of ours."""
        return self._place(owner, Picture(scene), title)

    def desk(self, owner: str, key: str) -> Desk:
        """Raises Gone where it was closed, or belongs to another browser."""
        with self._lock:
            self._tidy()
            desk = self._desks.get(key)
            if desk is None or desk.owner != owner:
                raise Gone("this session is closed; open the picture again")
            desk.used = self.clock()
            self._desks[key] = self._desks.pop(key)  # now the one used last
            return desk

    def png(self, owner: str, key: str, name: str) -> bytes | None:
        """The PNG file of a picture of a session of this browser; None where there is none."""
        try:
            return self.desk(owner, key).png(name)
        except Gone:
            return None

    def undo(self, owner: str, key: str) -> None:
        """Raises BadInput where there is nothing to undo, or a turn is in progress."""
        self._change(owner, key, lambda s: s.undo() if s.turns else self._nothing("undo"))

    def redo(self, owner: str, key: str) -> None:
        self._change(owner, key, lambda s: s.redo() if s.undone else self._nothing("redo"))

    def stop(self, owner: str, key: str) -> None:
        """Ask the turn in progress to end; it does after the call that is being made, and the picture stays as it was."""
        with self._lock:
            desk = self._desks.get(key)
            if desk is not None and desk.owner == owner and desk.turn is not None:
                desk.turn.stop.set()

    # ---------------------------------------------------------------------------------------------------------- turns
    def edit(
        self, owner: str, key: str, request: str, plan: Sequence[str] | None = None, again: bool = False
    ) -> Iterator[Step | Waiting]:
        """One turn, step by step; it counts when the last step was taken. `plan`: sub-requests that a person gave, in place of the
        decomposer's. `again`: in place of the last turn, on the picture before it.

        Raises BadInput for what cannot be done, `Stopped` after `stop`, and what the models raise; the session is then as it was.
        A generator that is closed stops the turn, too.
        """
        desk = self.desk(owner, key)
        self._check(request, plan)
        with self._in_line(desk) as turn:
            start, draft = desk.session, desk.draft
            intent = draft.intent if draft is not None and draft.request == request else None
            if again and start.turns:
                intent, start = start.turns[-1].intent, start.undo()
            if len(start.turns) >= self.rules.turns:
                raise BadInput(f"a session has at most {self.rules.turns} turns; download the picture and open it anew")
            plans = None if plan is None else [tuple(plan)]

            def work(watch: Watch) -> Session:
                meant = intent_of(self.writer, start, request, watch) if plans is None else intent
                (after,) = run_turn(
                    self.team,
                    [start],
                    [request],
                    intents=[meant],
                    seed=self.seed,
                    batch_size=1,
                    watch=watch,
                    plans=plans,
                )
                return after

            desk.session = yield from self._steps(turn, work)
            desk.draft = None
        self._tidy()

    def plan(self, owner: str, key: str, request: str) -> Iterator[Step | Waiting]:
        """The plan of a request, which then lies ready as `desk.draft` and is not carried out. Raises as `edit`."""
        desk = self.desk(owner, key)
        self._check(request, None)
        with self._in_line(desk) as turn:

            def work(watch: Watch) -> Draft:
                intent = intent_of(self.writer, desk.session, request, watch)
                ((_, planned),) = self.team.plan([desk.session.sample(request, intent)], watch)
                return Draft(request, planned.sub_requests, planned.source, intent)

            desk.draft = yield from self._steps(turn, work)

    def stop_all(self) -> None:
        """Ask every turn to end; see `stop`."""
        with self._lock:
            for turn in self._line:
                turn.stop.set()

    def close(self) -> None:
        """Stop what is in progress, and wait for its end."""
        self.stop_all()
        self._bench.shutdown(wait=True, cancel_futures=True)

    # --------------------------------------------------------------------------------------------------------- within
    def _place(self, owner: str, given: Picture, title: str) -> str:
        with self._lock:
            desk = Desk.of(owner, given, title, self.clock())
            self._desks[desk.key] = desk
            self._tidy()
            return desk.key

    def _tidy(self) -> None:
        """Close sessions that nobody uses any more, and those unused for longest where there are too many."""
        with self._lock:
            old = self.clock() - self.rules.idle_s
            held = sum(desk.held for desk in self._desks.values())
            for key, desk in list(self._desks.items())[:-1]:  # never the one used last
                crowded = len(self._desks) > self.rules.sessions or held > self.rules.held
                if desk.turn is None and (crowded or desk.used < old):
                    held -= desk.held
                    del self._desks[key]

    @staticmethod
    def _nothing(what: str) -> NoReturn:
        raise BadInput(f"there is nothing to {what}")

    def _check(self, request: str, plan: Sequence[str] | None) -> None:
        """Raises BadInput for a request or a plan that cannot be carried out."""
        clean_request(request, self.team.limit)
        if plan is None:
            self.refuse([], [("the request", request)])
        elif not plan:
            raise BadInput("the plan is empty; write at least one step")

    def _change(self, owner: str, key: str, change: Callable[[Session], Session]) -> None:
        desk = self.desk(owner, key)
        with self._in_line(desk, queue=False):
            desk.session, desk.draft = change(desk.session), None

    @contextmanager
    def _in_line(self, desk: Desk, queue: bool = True) -> Iterator[Turn]:
        """A turn of this desk, the last one in the line. Raises BadInput where it has one already, or too many wait."""
        turn = Turn()
        with self._lock:
            if desk.turn is not None:
                raise BadInput("a turn is in progress; wait for it, or stop it")
            if queue and len(self._line) > self.rules.queue:
                raise BadInput(f"{self.rules.queue} turns are waiting already; try again in a moment")
            desk.turn = turn
            self._line += [turn] * queue
        try:
            yield turn
        finally:
            with self._lock:
                desk.turn = None
                self._line = [other for other in self._line if other is not turn]

    def _steps(self, turn: Turn, work: Callable[[Watch], T]) -> Generator[Step | Waiting, None, T]:
        """Do `work` in the thread of the models, give its steps as they come, and return what it returns."""
        steps: Queue[Step | None] = Queue()  # None: the end

        def watch(step: Step) -> None:
            if turn.stop.is_set():
                raise Stopped(STOPPED)
            if isinstance(step, Called) and step.picture is not None:
                turn.pictures[digest(step.picture)] = step.picture
            steps.put(step)

        try:
            future = self._bench.submit(work, watch)
        except RuntimeError:  # closed
            raise Stopped("the server is stopping; try again later") from None
        future.add_done_callback(lambda _: steps.put(None))
        told = 0
        try:
            while True:
                if (before := self._before(turn)) != told and not (future.running() or future.done()):
                    yield Waiting(told := before)
                try:
                    step = steps.get(timeout=LOOK_S)
                except Empty:
                    if turn.stop.is_set() and future.cancel():
                        raise Stopped(STOPPED) from None
                    continue
                if step is None:
                    return future.result()
                yield step
        except CancelledError:
            raise Stopped(STOPPED) from None
        finally:  # of a generator that is closed, too
            turn.stop.set()
            future.cancel()

    def _before(self, turn: Turn) -> int:
        with self._lock:
            return self._line.index(turn)


__all__ = ["Gone", "Rules", "Stopped", "Waiting", "Workshop"]
