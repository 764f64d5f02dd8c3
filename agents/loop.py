"""The closed loop: after every call of the editor the agent sees the picture as it is now and says what comes next.

An answer is a decomposition as always (`agents/plan.py`). Its edits are carried out in one call on the picture as it is now,
except for two words that stand where an action stands:

    <action>stop</action><subject>image</subject><goal>none</goal>                          nothing is left to do
    <action>again; recolor</action><subject>image; red star</subject><goal>none; green</goal>

`again` takes the last call back: the edits after it are carried out on the picture before that call. The reader is strict and
total: a text that is none of these is malformed, and ends the loop. Pure values, no model and no editor: `agents/loop_team.py`
and `rl/loop_rollouts.py` bring those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from PIL import Image

from agents.editing import Call
from agents.plan import MalformedDecomposition, parse_decomposition, write_decomposition
from benchmarks.base import Decomposition, EditSample
from benchmarks.wording import normalise
from common.errors import BadInput

STOP, AGAIN, WHOLE = "stop", "again", "image"
MAX_CALLS = 6
Kind = Literal["edit", "again", "stop", "malformed"]


@dataclass(frozen=True)
class Decision:
    """What an answer says: `edits` (None for a stop) on the picture as it is, or ("again") on the one before the last call."""

    kind: Kind
    edits: Decomposition | None = None


def read_decision(text: str) -> Decision:
    """Read an answer, or raise `MalformedDecomposition` saying what is wrong with it."""
    answer = parse_decomposition(text)
    words = [normalise(action) for action in answer.actions]
    if not {STOP, AGAIN} & set(words):
        return Decision("edit", answer)
    word = STOP if STOP in words else AGAIN
    if words.count(word) > 1 or words[0] != word or {STOP, AGAIN} <= set(words):
        raise MalformedDecomposition(f"{word!r} stands once, as the first action; the actions are {words}")
    if normalise(answer.subjects[0]) != WHOLE or answer.goals[0] is not None:
        raise MalformedDecomposition(f"{word!r} goes with the subject {WHOLE!r} and without a goal")
    rest = Decomposition(answer.actions[1:], answer.subjects[1:], answer.goals[1:], answer.think)
    if word == STOP:
        if rest.actions:
            raise MalformedDecomposition(f"{STOP!r} stands alone, but {len(rest.actions)} more edits follow it")
        return Decision("stop")
    if not rest.actions:
        raise MalformedDecomposition(f"after {AGAIN!r} no edit follows that is to be carried out instead")
    return Decision("again", rest)


def write_decision(decision: Decision, think: str = "") -> str:
    """The text that `read_decision` reads as this decision. Raises BadInput for what cannot be written."""
    edits = decision.edits
    match decision.kind:
        case "stop":
            return write_decomposition(Decomposition((STOP,), (WHOLE,), (None,), think))
        case "edit" | "again" if edits is not None:
            first = ((AGAIN,), (WHOLE,), (None,)) if decision.kind == "again" else ((), (), ())
            return write_decomposition(
                Decomposition(first[0] + edits.actions, first[1] + edits.subjects, first[2] + edits.goals, think)
            )
    raise BadInput(f"a decision of kind {decision.kind!r} without edits cannot be written")


@dataclass(frozen=True)
class Turn:
    """One answer and what came of it. `base` is the number of the picture that its call was made on, None where no call was made;
    `made` the number of the picture that it gave, None where there is none (`failure` says why a call gave none)."""

    text: str
    kind: Kind
    error: str | None = None
    sub_requests: tuple[str, ...] = ()
    base: int | None = None
    made: int | None = None
    failure: str = ""

    @property
    def called(self) -> bool:
        return self.base is not None


@dataclass(frozen=True)
class LoopState:
    """A loop so far: an immutable value.

    `pictures`: the given one and those that calls gave, in the order in which they were made. `stack`: the numbers of the pictures
    that stand on each other, the given one first and the current one last; a call that was taken back is no longer in it.
    `steps`: what the next prompt says of the calls so far, e.g. "done: remove the red star".
    """

    sample: EditSample
    pictures: tuple[Image.Image, ...]
    max_calls: int = MAX_CALLS
    stack: tuple[int, ...] = (0,)
    steps: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    calls: tuple[Call, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.max_calls < 1:
            raise BadInput(f"execution.max_calls={self.max_calls} leaves no call to make; give 1 or more")

    @property
    def picture(self) -> Image.Image:
        """The picture as it is now."""
        return self.pictures[self.stack[-1]]

    @property
    def now(self) -> EditSample:
        """What the next answer is asked for: the same request on the picture as it is now."""
        s = self.sample
        return EditSample(s.id, s.request, s.gold, s.kind, s.history, self.picture)

    @property
    def over(self) -> bool:
        """Whether no more answer is asked for: it stopped, its last answer was malformed, or its calls are used up."""
        ended = bool(self.turns) and self.turns[-1].kind in ("stop", "malformed")
        return ended or len(self.calls) >= self.max_calls

    def base_of(self, decision: Decision) -> int:
        """The number of the picture that a decision's edits are carried out on. Raises MalformedDecomposition for an `again`
        where no call is left to take back."""
        if decision.kind != "again":
            return self.stack[-1]
        if len(self.stack) < 2:
            raise MalformedDecomposition(f"{AGAIN!r} takes the last call back, and there is none to take back")
        return self.stack[-2]

    def ended(self, text: str, kind: Kind, error: str | None = None) -> LoopState:
        """The state after an answer that makes no call: a stop, or a malformed one."""
        return replace(self, turns=(*self.turns, Turn(text, kind, error)))

    def called(self, turn: Turn, call: Call, picture: Image.Image | None, failure: str = "") -> LoopState:
        """The state after an answer with its call, and the picture that it gave; None: it failed, and the picture stays what it
        was. `turn.base` must be that of `base_of`."""
        if self.over:
            raise BadInput(f"the loop of {self.sample.id!r} is over; it makes no more calls")
        text = "; ".join(turn.sub_requests)
        if picture is None:
            turn = replace(turn, made=None, failure=failure or "no picture")
            return self._with(turn, call, self.pictures, self.stack, (*self.steps, f"failed: {text}"))
        turn = replace(turn, made=len(self.pictures))
        kept, steps = self.stack, self.steps
        if turn.kind == "again":
            kept, steps = kept[:-1], _taken_back(steps)
        return self._with(turn, call, (*self.pictures, picture), (*kept, len(self.pictures)), (*steps, f"done: {text}"))

    def _with(
        self,
        turn: Turn,
        call: Call,
        pictures: tuple[Image.Image, ...],
        stack: tuple[int, ...],
        steps: tuple[str, ...],
    ) -> LoopState:
        return replace(
            self, pictures=pictures, stack=stack, steps=steps, turns=(*self.turns, turn), calls=(*self.calls, call)
        )


def _taken_back(steps: Sequence[str]) -> tuple[str, ...]:
    """The steps, the last one that was done marked as taken back."""
    last = max(k for k, step in enumerate(steps) if step.startswith("done: "))
    return tuple("undone: " + s.removeprefix("done: ") if k == last else s for k, s in enumerate(steps))


__all__ = [
    "AGAIN",
    "MAX_CALLS",
    "STOP",
    "WHOLE",
    "Decision",
    "LoopState",
    "Turn",
    "read_decision",
    "write_decision",
]
