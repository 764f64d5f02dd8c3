"""A plan changed line by line before it is carried out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents.decomposer import clean_request
from common.errors import BadInput
from experiments.editing.lines import Lines
from experiments.editing.screen import BAD, DIM, Screen

HELP = "2 <text> changes step 2, + <text> adds a step, - 2 removes it; an empty line carries the plan out, /cancel drops it"


class PlanEditing:
    def __init__(self, lines: Lines, screen: Screen) -> None:
        self.lines, self.screen = lines, screen

    def edit(self, sub_requests: Sequence[str]) -> tuple[str, ...] | None:
        """The plan as the person wants it; None where the turn is dropped, which the end of the input does too."""
        steps = list(sub_requests)
        self.screen.line(HELP, DIM)
        while True:
            line = self.lines.read("plan> ")
            if line is None or line.strip() == "/cancel":
                return None
            if not line.strip() or line.strip() == "/go":
                if steps:
                    return tuple(steps)
                self.screen.line("the plan is empty: add a step, or /cancel", BAD)
                continue
            try:
                change(steps, line.strip())
            except BadInput as error:
                self.screen.line(f"error: {error}", BAD)
                continue
            for number, step in enumerate(steps, 1):
                self.screen.line(f"  {number}. {step}")


def change(steps: list[str], line: str) -> None:
    """Carry one line out on the steps. Raises BadInput for one that is none, and leaves the steps as they are then."""
    if match := re.fullmatch(r"\+\s*(\S.*)", line):
        steps.append(_clean(match[1]))
    elif match := re.fullmatch(r"-\s*(\d{1,6})", line):
        del steps[_index(match[1], steps)]
    elif match := re.fullmatch(r"(\d{1,6})[.)]?\s+(\S.*)", line):
        steps[_index(match[1], steps)] = _clean(match[2])
    else:
        raise BadInput(f"cannot read {line!r}: {HELP}")


def _index(number: str, steps: Sequence[str]) -> int:
    if not 1 <= int(number) <= len(steps):
        raise BadInput(f"there is no step {number}; there are {len(steps)}")
    return int(number) - 1


def _clean(text: str) -> str:
    return clean_request(text, None)[0]


__all__ = ["PlanEditing", "change"]
