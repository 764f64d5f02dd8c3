"""The decomposer: from a request (its history, its picture) to a decomposition written by a language model.

`build_request` is the one place where a sample becomes a prompt; supervised start, GRPO and inference share it, so
that the model always sees what it was trained on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.backends.base import Backend, ModelRequest, Sampling
from agents.plan import MalformedDecomposition, parse_decomposition
from agents.prompt_files import load_prompt
from benchmarks.base import Decomposition, EditSample
from benchmarks.goals import goal_sentence
from common.errors import BadInput

MAX_REQUEST_CHARS = 1000
MAX_HISTORY = 16  # earlier turns in a prompt; the first is always among them, since it may state a lasting rule
_JOINERS = "\u200c\u200d"  # format characters that carry meaning inside words and emoji
_MARKUP = re.compile(r"([<＜﹤])(?=\S)|(?<=[|｜])(?=[>＞﹥])")


@dataclass(frozen=True)
class DecomposeResult:
    """What the model wrote, what was read from it (None and the error where unreadable), and notes on the request."""

    text: str
    decomposition: Decomposition | None
    error: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decomposer:
    """`prompt` is a template with {request}, and {history}, {goals} and {loop} if wanted; `sampling` is used as it is (temperature
    0: greedy)."""

    backend: Backend
    prompt: str
    sampling: Sampling
    max_request_chars: int = MAX_REQUEST_CHARS

    def request(self, sample: EditSample, steps: Sequence[str] | None = None) -> ModelRequest:
        """The prompt for one sample, in a closed loop with the `steps` so far; `BadInput` where its request is empty."""
        return build_request(self.prompt, sample, self.max_request_chars, steps)

    def answer(self, samples: Sequence[EditSample], steps: Sequence[Sequence[str]]) -> list[str]:
        """What the model writes in a closed loop, one text per sample: its picture is the one as it is now, `steps[i]` what was
        done so far (`agents/loop.py`)."""
        requests = [self.request(sample, lines) for sample, lines in zip(samples, steps, strict=True)]
        return [completions[0].text for completions in self.backend.generate(requests, 1, self.sampling)]

    def decompose(self, samples: Sequence[EditSample]) -> list[DecomposeResult]:
        """One result per sample, in order. An unreadable reply is a result with an error, never an exception."""
        requests = [self.request(sample) for sample in samples]
        if not requests:
            return []
        replies = self.backend.generate(requests, 1, self.sampling)
        texts = [completions[0].text for completions in replies]
        return [
            _read(text, clean_request(sample.request, self.max_request_chars)[1])
            for sample, text in zip(samples, texts, strict=True)
        ]

    def draw(self, samples: Sequence[EditSample], n: int, seed: int) -> list[list[str]]:
        """n answers to each sample, [P][n], drawn at temperature 1 from the whole distribution whatever `sampling` says. The same
        (samples, n, seed) give the same answers."""
        requests = [self.request(sample) for sample in samples]
        if not requests:
            return []
        whole = replace(self.sampling, temperature=1.0, top_p=1.0, top_k=-1, seed=seed, rows=None)
        return [[c.text for c in several] for several in self.backend.generate(requests, n, whole)]


def build_request(
    template: str,
    sample: EditSample,
    max_request_chars: int = MAX_REQUEST_CHARS,
    steps: Sequence[str] | None = None,
) -> ModelRequest:
    """The full user message for `sample`: every earlier turn as a line "before: …", then the request; its picture too.
    {goals} becomes the rule of which actions need a goal.

    In a closed loop `steps` are the lines on the calls so far ("done: remove the red star"), which follow the earlier turns, and
    {loop} becomes the rules of `agents/prompts/loop.txt`; None: no loop, and {loop} becomes nothing.

    Raises `BadInput` for an empty request, a template without {request}, or for a loop one without {history}.
    """
    optional = max(template.count(f"{{{name}}}") for name in ("history", "goals", "loop"))
    if template.count("{request}") != 1 or optional > 1:
        raise BadInput(
            "a decomposer prompt needs {request} exactly once, {history}, {goals} and {loop} at most once; correct the file"
        )
    if steps is not None and "{history}" not in template:
        raise BadInput("in a closed loop a decomposer prompt needs {history}, where what was done so far stands")
    try:
        request, _ = clean_request(sample.request, max_request_chars)
    except BadInput as error:
        raise BadInput(f"sample {sample.id!r}: {error}") from error
    filled = {
        "history": render_history(sample.history, max_request_chars) + _render_steps(steps or (), max_request_chars),
        "goals": goal_sentence(),
        "loop": "" if steps is None else load_prompt("loop"),
        "request": request,
    }
    # One pass, so that a request that says "{history}" stays what it is.
    text = re.sub(r"\{(history|goals|loop|request)\}", lambda match: filled[match[1]], template)
    return ModelRequest(text, () if sample.image is None else (sample.image,))


def clean_request(text: str, max_chars: int | None = MAX_REQUEST_CHARS) -> tuple[str, tuple[str, ...]]:
    """`text` made safe to put into a prompt, and plain notes on what was changed for good.

    White space is collapsed; control and invisible characters go; whatever a tokenizer could take for a control token
    ("<|im_end|>", "<tool_call>", "<think>") is broken by a space; then the text is cut at `max_chars` characters
    (None: not at all), between words where possible. Any language and any emoji pass. Raises `BadInput` where nothing is left.
    """
    if max_chars is not None and max_chars < 1:
        raise BadInput(f"max_request_chars={max_chars} leaves nothing of a request; give 1 or more")
    visible = "".join(_visible(char) for char in text)
    clean = " ".join(_MARKUP.sub(lambda match: (match[1] or "") + " ", visible).split())
    if not clean:
        raise BadInput("the request is empty; say what to change, for example 'make the red star blue'")
    if max_chars is None or len(clean) <= max_chars:
        return clean, ()
    head = clean[:max_chars]
    if clean[max_chars] != " " and " " in head[max_chars // 2 :]:
        head = head[: head.rindex(" ")]
    note = f"the request of {len(clean)} characters was cut to {len(head.rstrip())} (limit {max_chars})"
    return head.rstrip(), (note,)


def render_history(history: Sequence[str], max_chars: int) -> str:
    """The earlier turns as lines "before: …", oldest first; of many the first one and the newest."""
    turns = [turn for turn in history if turn.strip()]
    if len(turns) > MAX_HISTORY:
        turns = [turns[0], *turns[-(MAX_HISTORY - 1) :]]
    lines = []
    for turn in turns:
        try:
            lines.append(f"before: {clean_request(turn, max_chars)[0]}\n")
        except BadInput:  # nothing visible was said in that turn: there is nothing to remember
            continue
    return "".join(lines)


def _render_steps(steps: Sequence[str], max_chars: int) -> str:
    """One line for each; their words are the model's own, and so cleaned like a request."""
    return "".join(f"{clean_request(step, max_chars)[0]}\n" for step in steps)


def _read(text: str, notes: tuple[str, ...]) -> DecomposeResult:
    try:
        return DecomposeResult(text, parse_decomposition(text), None, notes)
    except MalformedDecomposition as error:
        return DecomposeResult(text, None, str(error), notes)


def _visible(char: str) -> str:
    """The character itself; a space for control characters; nothing for invisible ones; U+FFFD for half characters."""
    if char.isascii() and char.isprintable():
        return char
    match unicodedata.category(char):
        case "Cc" | "Zl" | "Zp" | "Zs":
            return " "
        case "Cf":
            return char if char in _JOINERS else ""
        case "Cs":  # a lone surrogate cannot be encoded, no tokenizer takes it
            return "\ufffd"
        case _:
            return char


__all__ = [
    "MAX_REQUEST_CHARS",
    "DecomposeResult",
    "Decomposer",
    "build_request",
    "clean_request",
    "render_history",
]
