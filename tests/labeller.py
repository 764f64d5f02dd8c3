"""A labeller in this process: a `judges.question.Client` that takes requests of one form apart, and misbehaves by script."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from judges.question import BudgetSpent, JudgeSampling, Question, Reply, Usage


def request_of(text: str) -> str:
    """The request within the labelling prompt."""
    return text.rpartition("The request:\n")[2].strip()


def label_of(request: str) -> str:
    """What a careful model would say of "take <x> out" (and …); no edit in anything else."""
    things = re.findall(r"take (.+?) out", request)
    edits = {"actions": ["Delete"] * len(things), "subjects": things, "goals": [None] * len(things)}
    return json.dumps(edits)


@dataclass
class Labeller:
    """`replies` maps a request to its replies in turn (None: given up); every call costs a cent."""

    replies: dict[str, list[Reply | None | str]] = field(default_factory=dict)
    budget: float | None = None
    after: Callable[[int], None] = lambda calls: None  # called with the number of calls so far
    concurrency: int = 4
    model: str = "careful-1"
    asked: Counter[str] = field(default_factory=Counter)
    usage: Usage = Usage()

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    def ask(self, question: Question, sampling: JudgeSampling, repeat: int = 0) -> Reply:
        request = request_of("".join(p for p in question.parts if isinstance(p, str)))
        with self.lock:
            if self.budget is not None and self.usage.dollars + 0.01 > self.budget + 1e-9:
                raise BudgetSpent(f"the budget of ${self.budget:.2f} is spent")
            self.asked[request] += 1
            one = Usage(1, 0, 100, 20, 0.01)
            self.usage += one
            self.after(self.usage.calls)
        said = self.replies.get(request, [label_of(request)])
        reply = said[min(repeat, len(said) - 1)]
        if isinstance(reply, Reply):
            return reply
        return Reply(reply, "" if reply is not None else "gave up after 5 tries", usage=one)
