"""Session-intent reconstruction (arXiv 2606.05950): before a turn is carried out, a language model writes what it means by itself,
from the session's history and the picture.

The model thinks, then writes a self-contained instruction:

    <think>…</think>change the color of the white star to red

The first turn of a session is never rewritten: nothing was said before it. A reply without an instruction falls back to what the
user said, and is counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agents.backends.base import Backend, ModelRequest, Sampling
from agents.decomposer import MAX_REQUEST_CHARS, clean_request, render_history
from benchmarks.base import EditSample
from common.errors import BadInput

END = "</think>"
TASKS = {  # by a session's mode: a lasting rule | pronouns | neither is known
    "cm": (
        "If an earlier request states a rule that is to hold for everything done later, say explicitly in the new instruction what "
        "the rule does to the object that is edited now."
    ),
    "cu": (
        "Replace every pronoun and every vague reference by the object that it means, named as it looks in the picture now."
    ),
    "free": "Rewrite the request so that it can be understood without the earlier ones.",
}


@dataclass(frozen=True)
class Intent:
    """`text`: what the model wrote, "" where it was not asked. `instruction`: what the editor is told. `fallback`: why that is the
    user's own request; "" where it is the model's."""

    text: str
    instruction: str
    fallback: str = ""


@dataclass(frozen=True)
class IntentWriter:
    """`prompt` is a template with {request} and {history}, and {task} if wanted."""

    backend: Backend
    prompt: str
    sampling: Sampling
    max_request_chars: int = MAX_REQUEST_CHARS

    def write(self, samples: Sequence[EditSample]) -> list[Intent]:
        """One intent for each turn, in order. Turns without history are not asked about. Raises BadInput for an empty request."""
        asked = [s for s in samples if s.history]
        requests = [build_intent_request(self.prompt, s, self.max_request_chars) for s in asked]
        replies = iter(self.backend.generate(requests, 1, self.sampling) if requests else ())
        return [
            read_intent(next(replies)[0].text, sample.request) if sample.history else Intent("", sample.request)
            for sample in samples
        ]


def build_intent_request(template: str, sample: EditSample, max_request_chars: int = MAX_REQUEST_CHARS) -> ModelRequest:
    """The prompt of a turn: what was asked for before as lines "before: …", the request, the picture as it is now. {task} becomes
    what the session's mode (`sample.kind`) asks for.

    Raises BadInput for an empty request and for a template that lacks {request} or {history}.
    """
    if template.count("{request}") != 1 or template.count("{history}") != 1 or template.count("{task}") > 1:
        raise BadInput(
            "an intent prompt needs {request} and {history} exactly once and {task} at most once; correct the file"
        )
    try:
        request, _ = clean_request(sample.request, max_request_chars)
    except BadInput as error:
        raise BadInput(f"sample {sample.id!r}: {error}") from error
    filled = {
        "history": render_history(sample.history, max_request_chars),
        "task": TASKS.get(sample.kind, TASKS["free"]),
        "request": request,
    }
    text = re.sub(r"\{(history|task|request)\}", lambda match: filled[match[1]], template)
    return ModelRequest(text, () if sample.image is None else (sample.image,))


def read_intent(text: str, request: str) -> Intent:
    """What stands behind the thought, in one line; the `request` itself where there is no end of a thought or nothing behind it.
    Total: any text gives an intent."""
    _, end, instruction = text.rpartition(END)
    if not end:
        return Intent(text, request, f"the reply has no {END}")
    line = " ".join(instruction.split()).strip("\"'“”")
    try:
        return Intent(text, clean_request(line, None)[0])
    except BadInput:
        return Intent(text, request, f"nothing follows {END}")


__all__ = ["TASKS", "Intent", "IntentWriter", "build_intent_request", "read_intent"]
