"""The sequencer as a vision-language model with a prompt (arXiv 2603.08059: the decomposer's backbone, untrained)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agents.backends.base import Backend, ModelRequest, Sampling
from agents.decomposer import clean_request
from agents.sequencer import EXECUTIONS, RulesSequencer, Sequenced
from benchmarks.base import Decomposition, EditSample, explicit_instruction
from common.errors import BadInput

_LINE = re.compile(r"(\d{1,3})[.)] +(\S.*)")
_PLACEHOLDER = re.compile(r"\b(?:to|into|with|at|as|on) (?:the |a )?['\"]?none['\"]?[.!]*$", re.IGNORECASE)
NAMING = {
    "single": "All steps are carried out together on this picture: call every object as it looks in this picture.",
    "multi": (
        "The steps are carried out one after the other, each on the result of the one before: call every object as it "
        "looks at that moment."
    ),
}


@dataclass
class VLMSequencer:
    """`prompt` is a template with {request}, {edits} and {naming}. Unreadable replies are replaced by the rules' plan.

    `replies` and `unreadable` count what the model wrote over the life of the object, for the run's report.
    """

    backend: Backend
    prompt: str
    sampling: Sampling
    rules: RulesSequencer = field(default_factory=RulesSequencer)
    replies: int = 0
    unreadable: int = 0

    def __post_init__(self) -> None:
        if missing := [name for name in ("{request}", "{edits}", "{naming}") if self.prompt.count(name) != 1]:
            raise BadInput(f"the sequencer prompt needs {missing[0]} exactly once; correct the file")

    def sequence(
        self, samples: Sequence[EditSample], decompositions: Sequence[Decomposition | None], execution: str
    ) -> list[Sequenced]:
        """One plan per sample; the model is asked only where there is a decomposition to order."""
        if execution not in EXECUTIONS:
            raise BadInput(f"unknown execution {execution!r}; choose single or multi")
        plans = self.rules.sequence(samples, decompositions, execution)
        rows = [b for b, plan in enumerate(plans) if plan.source == "rules"]
        if not rows:
            return plans
        requests = [self.request(samples[b], decompositions[b], execution) for b in rows]  # type: ignore[arg-type]
        replies = self.backend.generate(requests, 1, self.sampling)
        for b, completions in zip(rows, replies, strict=True):
            self.replies += 1
            try:
                plans[b] = Sequenced(parse_steps(completions[0].text), "vlm")
            except BadInput as error:
                self.unreadable += 1
                plans[b] = replace(plans[b], notes=(f"the sequencer's reply could not be read ({error}): rules used",))
        return plans

    def request(self, sample: EditSample, decomposition: Decomposition, execution: str) -> ModelRequest:
        """The prompt for one decomposition, with the picture where there is one."""
        edits = [clean_request(explicit_instruction(edit))[0] for edit in decomposition.edits or ()]
        filled = {
            "request": clean_request(sample.request, None)[0],
            "edits": "\n".join(f"- {edit}" for edit in edits),
            "naming": NAMING[execution],
        }
        text = re.sub(r"\{(request|edits|naming)\}", lambda match: filled[match[1]], self.prompt)
        return ModelRequest(text, () if sample.image is None else (sample.image,))


def parse_steps(text: str) -> tuple[str, ...]:
    """The steps of a numbered list, "1. …" and nothing else, counted from 1 without gaps; else `BadInput`. A step that ends in
    the placeholder of an absent goal ("change the color to None") is refused too: no editor is told that."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise BadInput("the reply is empty")
    steps = []
    for number, line in enumerate(lines, 1):
        step = _LINE.fullmatch(line)
        if step is None or int(step[1]) != number:
            raise BadInput(f"expected a line '{number}. <step>', found {line[:60]!r}")
        if _PLACEHOLDER.search(step[2]):
            raise BadInput(f"step {number} says no goal: {line[:60]!r}")
        steps.append(step[2])
    return tuple(steps)


__all__ = ["NAMING", "VLMSequencer", "parse_steps"]
