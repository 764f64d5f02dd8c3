"""A run of the team on the terminal: the decomposition and the plan before the editing starts, then each call with its time."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text

from agents.steps import Called, Decided, Decomposed, Intended, Planned, Step
from common.progress import clock

DIM, HEAD, BAD = "dim", "bold", "bold red"


class Screen:
    """A watcher of one sample (`agents/steps.py`), to be used in a `with` block: on a terminal a line at the bottom says
    what is going on. Requests are shown as they are: nothing in them is taken for markup."""

    def __init__(self, console: Console, execution: str = "single") -> None:
        self.console, self.execution = console, execution
        self.last = time.perf_counter()
        self.status: Status | None = None

    def __enter__(self) -> Screen:
        return self

    def begin(self, what: str = "reading the request") -> None:
        """The work begins: the first step's time counts from here."""
        self.last = time.perf_counter()
        self.wait(what)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()

    def pause(self) -> None:
        """Nothing is going on: the terminal's last line is free, e.g. for a prompt."""
        if self.status is not None:
            self.status.stop()
            self.status = None

    def wait(self, what: str) -> None:
        """Say what is going on; only a terminal shows it."""
        if not self.console.is_terminal:
            return
        if self.status is None:
            self.status = self.console.status(Text(f"{what} …", DIM), spinner="dots")
            self.status.start()
        else:
            self.status.update(Text(f"{what} …", DIM))

    def line(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style), soft_wrap=not self.console.is_terminal)

    def __call__(self, step: Step) -> None:
        spent, self.last = time.perf_counter() - self.last, time.perf_counter()
        match step:
            case Intended():
                why = f" (as it was said: {step.fallback})" if step.fallback else ""
                self.line(f"intent ({clock(spent)}): {step.instruction}{why}", HEAD)
            case Decomposed():
                self._decomposed(step, spent)
                self.wait("putting the edits in order")
            case Planned():
                self.line(f"plan ({step.source}, {self.execution} execution):", HEAD)
                for number, text in enumerate(step.sub_requests, 1):
                    self.line(f"  {number}. {text}")
                self.wait("editing")
            case Decided():
                self._decided(step, spent)
                self.wait("editing")
            case Called():
                self._called(step, spent)

    def _decomposed(self, step: Decomposed, spent: float) -> None:
        edits = None if step.decomposition is None else step.decomposition.edits
        if edits is None:
            self.line(f"decomposition: unreadable ({step.error or 'its lists differ in length'})", BAD)
            return
        self.line(f"decomposition ({clock(spent)}):", HEAD)
        for edit in edits:
            self.line(f"  {edit.action} · {edit.subject}" + (f" · {edit.goal}" if edit.goal else ""))

    def _decided(self, step: Decided, spent: float) -> None:
        what = "; ".join(step.sub_requests)
        match step.kind:
            case "stop":
                said = "stop: nothing is left to do"
            case "malformed":
                said = f"unreadable ({step.error})" + (f"; the raw request is used: {what}" if what else "")
            case "again":
                said = f"again, on picture {step.base}: {what}"
            case _:
                said = what
        self.line(f"answer {step.number} ({clock(spent)}): {said}")

    def _called(self, step: Called, spent: float) -> None:
        most = "at most " if self.execution == "loop" else ""
        if step.picture is None:
            self.line(f"call {step.number} of {most}{step.total} · {clock(spent)} · failed: {step.failure}", BAD)
        else:
            self.line(f"call {step.number} of {most}{step.total} · {clock(spent)} · {step.instruction}", DIM)


__all__ = ["BAD", "DIM", "HEAD", "Screen"]
