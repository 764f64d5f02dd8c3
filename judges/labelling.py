"""A language model labels what a request asks for: actions of PSR's list, subjects and goals, item by item.

PSR (arXiv 2505.16181) was labelled so by GPT-4o-mini at temperature 0, with actions and subjects; goals are added here, and
the prompt is our own (judges/prompts/label_edits.txt). An unreadable reply is requested once more; then the
request has no label and a reason. Nothing is repaired or guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image

from benchmarks.base import Edit, says_no_goal
from benchmarks.goals import goal_of, goal_sentence
from benchmarks.labels import PSR_ACTIONS, check_writable, psr_action, training_action
from common.errors import BadInput
from judges.prompt import load_prompt, version_of
from judges.question import Client, Encoding, JudgeSampling, Question, Reply, Unreadable, Usage
from judges.reading import the_object

SAMPLING = JudgeSampling(temperature=0.0, max_tokens=512)
ASKS = 2  # of a request whose reply cannot be read
KEYS = ("actions", "subjects", "goals")
MOST = 32  # edits in one request; more are a model that repeats itself
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "actions": {"type": "array", "items": {"type": "string", "enum": [a.name for a in PSR_ACTIONS]}},
        "subjects": {"type": "array", "items": {"type": "string"}},
        "goals": {"type": "array", "items": {"type": ["string", "null"]}},
    },
    "required": list(KEYS),
    "additionalProperties": False,
}
NO_EDIT, UNREADABLE, REFUSED, NO_REPLY = "asks for no edit", "unreadable reply", "refused by the model", "no reply"


@dataclass(frozen=True)
class Label:
    """`edits` is None where there is no label; `reason` is then one of the words above and `detail` says more.
    `final`: asking again another day would bring nothing new (a service that was down may be up then)."""

    edits: tuple[Edit, ...] | None
    reason: str = ""
    detail: str = ""
    final: bool = True
    usage: Usage = Usage()


@cache
def _prompt() -> Any:
    return load_prompt("label_edits", ("actions", "goals", "request"))


def prompt_version() -> str:
    """Changes with any word of the prompt, with any action or its meaning, and with the rule of goals."""
    filled = _actions() + "\n" + _goals()
    return version_of([_prompt()]) + "-" + version_of([type(_prompt())("actions", filled, frozenset())])


def _actions() -> str:
    return "\n".join(f"  {a.name}: {a.meaning}" for a in PSR_ACTIONS)


def _goals() -> str:
    """The rule of goals in PSR's words. A label that breaks it can be read, but is no training record."""
    return goal_sentence([a.name for a in PSR_ACTIONS], "null", lambda name: goal_of(training_action(name)))


def question(request: str, picture: Image.Image | None = None) -> Question:
    """The question for one request; its picture goes in front of it where one is given."""
    text = _prompt().fill(actions=_actions(), goals=_goals(), request=request)
    return Question(
        "label",
        (text,) if picture is None else (picture, text),
        lambda text: {"edits": read(text)},
        schema=SCHEMA,
        encoding=Encoding("jpeg", longest=1024),
    )


def read(text: str) -> tuple[Edit, ...]:
    """The edits of a reply, none where its lists are empty. Raises Unreadable for anything but three lists of one
    length whose items the decomposition's format can hold and whose actions are PSR's."""
    fields = the_object(text, KEYS)
    lists = [fields[key] for key in KEYS]
    for key, items in zip(KEYS, lists, strict=True):
        if not isinstance(items, list):
            raise Unreadable(f"{key!r} is no list: {items!r:.100}")
    if len({len(items) for items in lists}) != 1:
        raise Unreadable(
            f"the lists differ in length: {', '.join(f'{len(x)} {k}' for k, x in zip(KEYS, lists, strict=True))}"
        )
    if len(lists[0]) > MOST:
        raise Unreadable(f"{len(lists[0])} edits in one request")
    return tuple(_edit(*items) for items in zip(*lists, strict=True))


def _edit(action: Any, subject: Any, goal: Any) -> Edit:
    if not isinstance(action, str) or not isinstance(subject, str) or not (goal is None or isinstance(goal, str)):
        raise Unreadable(f"an edit is no text: {[action, subject, goal]!r:.200}")
    mapped = psr_action(action)
    if mapped is None:
        raise Unreadable(f"the action {action!r:.60} is not in the list")
    goal = None if goal is None or says_no_goal(goal) else " ".join(goal.split())
    edit = Edit(mapped.name, " ".join(subject.split()), goal)
    try:
        check_writable(edit)
    except BadInput as error:
        raise Unreadable(str(error)) from None
    return edit


def label(
    client: Client, request: str, picture: Image.Image | None = None, sampling: JudgeSampling = SAMPLING
) -> Label:
    """Ask, and once more where the reply cannot be read. Raises BadInput, BudgetSpent as the client does."""
    edits_question = question(request, picture)
    usage, why = Usage(), ""
    for again in range(ASKS):
        reply = client.ask(edits_question, sampling, again)
        usage += reply.usage
        if reply.text is None and not reply.cut:
            return _without(reply, usage)
        try:
            if reply.text is None:
                raise Unreadable(reply.reason)
            edits = edits_question.read(reply.text)["edits"]
        except Unreadable as error:
            why = str(error)
            continue
        return Label(edits, usage=usage) if edits else Label(None, NO_EDIT, usage=usage)
    return Label(None, UNREADABLE, why, usage=usage)


def _without(reply: Reply, usage: Usage) -> Label:
    if reply.refused:
        return Label(None, REFUSED, reply.reason, usage=usage)
    return Label(None, NO_REPLY, reply.reason, final=False, usage=usage)


__all__ = [
    "NO_EDIT",
    "NO_REPLY",
    "REFUSED",
    "SAMPLING",
    "UNREADABLE",
    "Label",
    "label",
    "prompt_version",
    "question",
    "read",
]
