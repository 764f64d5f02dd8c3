"""Reasoning traces: what a reasoning reward model writes about an edit, and how it is read.

arXiv 2604.27505 (method, step 3): free reasoning, then one entry for each evaluation point, their mean, and a final score of 0
to 10 that is not merely that mean:

    <think>…</think>[{'question': '…', 'score': 1}, …], {"average_score": 0.75} <score> 6.5 </score>

The ablations of the paper leave parts out. `Form.THINK` has no entries, `Form.VERIFY` no reasoning, `Form.SCORE` neither: a scorer
that says its number at once.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from judges.question import Unreadable
from judges.reasoning.points import plain

HIGHEST = 10.0
_SCORE = re.compile(r"<score>\s*([0-9]{1,2}(?:\s*\.\s*[0-9]{1,3})?)\s*</score>")
_TAG = re.compile(r"</?\s*score\s*>", re.IGNORECASE)
_AVERAGE_WITHIN = 0.011  # a mean may be written with two digits
_LONGEST = 20_000  # characters of the part behind the thought: a longer one is no list of points


class Form(Enum):
    """What a trace consists of, beside its score."""

    BOTH = "both"
    THINK = "think"
    VERIFY = "verify"
    SCORE = "score"

    @property
    def thinks(self) -> bool:
        return self in (Form.BOTH, Form.THINK)

    @property
    def verifies(self) -> bool:
        return self in (Form.BOTH, Form.VERIFY)


@dataclass(frozen=True)
class Trace:
    """`verdicts`: 1 or 0 for each point, in their order; () where the form has none. `score`: 0 to 10."""

    thought: str
    verdicts: tuple[int, ...]
    score: float

    @property
    def average(self) -> float:
        """The share of points that are met; 0 without points."""
        return sum(self.verdicts) / len(self.verdicts) if self.verdicts else 0.0


def write_trace(trace: Trace, questions: Sequence[str], form: Form = Form.BOTH) -> str:
    """The text of a trace. A score is written with one digit at most: 7, 6.5."""
    parts = [f"<think>{trace.thought}</think>"] if form.thinks else []
    if form.verifies:
        entries = ", ".join(
            f"{{'question': {quoted(q)}, 'score': {v}}}" for q, v in zip(questions, trace.verdicts, strict=True)
        )
        parts.append(f"[{entries}], " + '{"average_score": ' + f"{trace.average:.2g}" + "} ")
    return "".join(parts) + f"<score> {trace.score:.3g} </score>"


def quoted(text: str) -> str:
    """In single quotes, so that it can be read again whatever it holds."""
    return "'" + repr('"' + text)[2:]  # a double quote within makes repr take single ones outside


def read_trace(text: str, questions: Sequence[str], form: Form = Form.BOTH) -> Trace:
    """The trace that a text is. Total: any text either is one or raises Unreadable saying what is wrong; nothing is repaired.

    Wanted are exactly one score from 0 to 10 behind everything else, and (where the form verifies) the points' own questions in
    their order with 0 or 1 each, and their mean as it is.
    """
    thought, rest = _thought(text, form)
    scores = list(_SCORE.finditer(rest))
    if len(scores) != 1 or len(_TAG.findall(rest)) != 2:
        raise Unreadable(f"there is no single <score> s </score> in the trace: {_shown(rest)}")
    if rest[scores[0].end() :].strip():
        raise Unreadable(f"something follows the score: {_shown(rest[scores[0].end() :])}")
    score = float("".join(scores[0].group(1).split()))
    if not 0 <= score <= HIGHEST:
        raise Unreadable(f"the score {score:g} is not from 0 to {HIGHEST:g}")
    between = rest[: scores[0].start()].strip()
    if not form.verifies:
        if between:
            raise Unreadable(f"only a score was expected, and there is more: {_shown(between)}")
        return Trace(thought, (), score)
    return Trace(thought, _verdicts(between, questions), score)


def _thought(text: str, form: Form) -> tuple[str, str]:
    if not form.thinks:
        if "<think>" in text or "</think>" in text:
            raise Unreadable("there is a thought in a trace that should have none")
        return "", text
    head, open_tag, inner = text.partition("<think>")
    thought, close_tag, rest = inner.partition("</think>")
    if head.strip() or not open_tag or not close_tag or "<think>" in inner or "</think>" in rest:
        raise Unreadable(f"the trace does not begin with one <think>…</think>: {_shown(text)}")
    return thought.strip(), rest


def _verdicts(text: str, questions: Sequence[str]) -> tuple[int, ...]:
    if len(text) > _LONGEST:
        raise Unreadable(f"the list of points has {len(text)} characters; at most {_LONGEST} are read")
    end = text.rfind("]")
    if not text.startswith("[") or end < 0:
        raise Unreadable(f"there is no list of points before the score: {_shown(text)}")
    rows, mean = _literal(text[: end + 1]), _literal(text[end + 1 :].strip().removeprefix(",").strip())
    if not isinstance(rows, list) or len(rows) != len(questions):
        found = len(rows) if isinstance(rows, list) else "no"
        raise Unreadable(f"there are {found} entries for {len(questions)} points")
    verdicts = tuple(_verdict(row, question) for row, question in zip(rows, questions, strict=True))
    value = _keys(mean).get("average_score") if isinstance(mean, dict) and len(mean) == 1 else None
    right = sum(verdicts) / len(verdicts)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value - right) <= _AVERAGE_WITHIN:
        raise Unreadable(f"the average_score is {value!r}, and the mean of the points is {right:.3g}")
    return verdicts


def _verdict(row: Any, question: str) -> int:
    entry = _keys(row) if isinstance(row, dict) else {}
    if set(entry) != {"question", "score"}:
        raise Unreadable(f"an entry is no {{'question', 'score'}}: {_shown(str(row))}")
    if not isinstance(entry["question"], str) or plain(entry["question"]) != plain(question):
        raise Unreadable(f"an entry answers {_shown(str(entry['question']))} where {question!r} was asked")
    if isinstance(entry["score"], bool) or entry["score"] not in (0, 1):
        raise Unreadable(f"a point is 0 or 1, not {_shown(repr(entry['score']))}")
    return int(entry["score"])


def _keys(row: dict[Any, Any]) -> dict[str, Any]:
    """A tokenizer that puts a space before every word puts one behind a quote, too."""
    return {str(k).strip(): v for k, v in row.items()}


def _literal(text: str) -> Any:
    """JSON, or the same with single quotes. Raises Unreadable for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise Unreadable(f"no list or object can be read here ({type(error).__name__}): {_shown(text)}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise Unreadable(f"{text!r} is no number")
    return value


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:200] + "…")


__all__ = ["HIGHEST", "Form", "Trace", "quoted", "read_trace", "write_trace"]
