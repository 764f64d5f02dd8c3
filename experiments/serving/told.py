"""What the page tells of a turn: filled step by step while it is carried out, or from its trace afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agents.session import SessionTurn
from agents.steps import Called, Decided, Decomposed, Intended, Planned, Step
from agents.traces import digest
from benchmarks.base import Edit
from experiments.serving.workshop import Waiting


@dataclass
class Call:
    """One call of the editor. `picture`: the digest of what it gave, None where it gave none."""

    instruction: str
    picture: str | None
    failure: str = ""
    seconds: float | None = None


@dataclass
class Told:
    """Everything is empty until it happened. `calls_in_all` is how many there will be, as far as that is known."""

    request: str = ""
    before: int = 0  # turns of others that come first
    intent: str = ""  # what the request means by itself, where that was written
    said_as_it_is: str = ""  # why it is the request itself
    think: str = ""
    edits: tuple[Edit, ...] = ()
    error: str = ""  # why the decomposition cannot be read
    plan: tuple[str, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    calls: list[Call] = field(default_factory=list)
    calls_in_all: int | None = None
    decisions: list[str] = field(default_factory=list)  # of a closed loop
    running: bool = True
    clock: Callable[[], float] = time.monotonic
    _began: float = 0.0

    def hear(self, step: Step | Waiting) -> None:
        """Take in one step of the turn."""
        match step:
            case Waiting(before):
                self.before = before
                return
            case Intended(_, instruction, fallback):
                self.intent, self.said_as_it_is = instruction, fallback
            case Decomposed(_, _, decomposition, error):
                self.error = error or ""
                if decomposition is not None:
                    self.think, self.edits = decomposition.think, decomposition.edits or ()
            case Planned(_, sub_requests, source, notes):
                self.plan, self.source, self.notes = sub_requests, source, notes
            case Decided():
                self.decisions.append(said(step.kind, step.sub_requests, step.error))
                self.source = "loop"
            case Called(_, _, total, instruction, picture, failure):
                name = None if picture is None else digest(picture)
                self.calls.append(Call(instruction, name, failure, self.clock() - self._began))
                self.calls_in_all = None if self.decisions else total
        self.before = 0
        self._began = self.clock()

    @classmethod
    def of(cls, turn: SessionTurn) -> Told:
        """A turn that was carried out."""
        trace, intent = turn.trace, turn.intent or ""
        told = cls(turn.request, intent=intent, source=trace.source, notes=trace.notes, running=False)
        told.error = trace.error or ""
        if trace.turns:
            told.decisions = [said(one.kind, one.sub_requests, one.error) for one in trace.turns]
        else:
            told.plan = trace.sub_requests
            if (decomposition := trace.decomposition) is not None:
                told.think, told.edits = decomposition.think, decomposition.edits or ()
        made = iter(trace.digests[1:])
        told.calls = [Call(call.instruction, next(made, None)) for call in trace.calls]
        for call in told.calls:
            if call.picture is None:
                call.failure = trace.failure or "no picture"
        return told


def said(kind: str, sub_requests: tuple[str, ...], error: str | None) -> str:
    """One answer of a closed loop, as a sentence."""
    what = "; ".join(sub_requests)
    match kind:
        case "stop":
            return "Nothing is left to do."
        case "again":
            return f"Take the last call back; instead: {what}"
        case "malformed":
            return f"The answer cannot be read ({error})." + (f" The request is used as it is: {what}" if what else "")
    return what


__all__ = ["Call", "Told", "said"]
