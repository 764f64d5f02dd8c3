"""Labels by a model: replies are read or refused, asked for once more, and never guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.base import Edit
from benchmarks.labels import PSR_ACTIONS
from judges.labelling import NO_EDIT, NO_REPLY, REFUSED, SCHEMA, UNREADABLE, label, prompt_version, question, read
from judges.question import Reply, Unreadable
from tests.labeller import Labeller


def reply(actions: Any = ("Delete",), subjects: Any = ("dog",), goals: Any = (None,)) -> str:
    return json.dumps({"actions": actions, "subjects": subjects, "goals": goals})


def test_items_belong_together() -> None:
    said = reply(["delete", "Recoloring"], [" old  dog ", "dress"], ["none", "dark green"])
    assert read(f"Here it is:\n```json\n{said}\n```") == (
        Edit("Delete", "old dog"),
        Edit("Recoloring", "dress", "dark green"),
    )
    assert read(reply([], [], [])) == ()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("I cannot see any edit.", "no JSON object"),
        (reply()[:-2], "cannot be read"),
        ('{"actions": [], "subjects": []}', "'goals'"),
        (reply(["Delete", "Add"]), "differ in length: 2 actions, 1 subjects, 1 goals"),
        (reply("Delete"), "'actions' is no list"),
        (reply(["Paint"]), "'Paint' is not in the list"),
        (reply([3]), "no text"),
        (reply(subjects=["  "]), "empty"),
        (reply(subjects=["dog; cat"]), "';'"),
        (reply(goals=["<b>"]), "'<'"),
        (reply(goals=[["red"]]), "no text"),
        (reply(["Add"] * 40, ["x"] * 40, [None] * 40), "40 edits"),
    ],
)
def test_what_cannot_be_read(said: str, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        read(said)


@given(st.text() | st.builds(reply, *(st.lists(st.none() | st.text(max_size=3) | st.integers(), max_size=3),) * 3))
def test_any_text_is_read_or_unreadable(said: str) -> None:
    try:
        edits = read(said)
    except Unreadable:
        return
    assert all(e.action in {a.name for a in PSR_ACTIONS} and e.subject for e in edits)


def test_the_question_holds_the_request_as_it_is_and_all_actions() -> None:
    asked = question("turn {request} into {actions}")
    assert asked.parts[-1].endswith("turn {request} into {actions}")
    assert all(f"{a.name}: {a.meaning}" in asked.parts[-1] for a in PSR_ACTIONS)
    assert SCHEMA["properties"]["actions"]["items"]["enum"] == [a.name for a in PSR_ACTIONS]
    pictured = question("x", Image.new("RGB", (2, 2)))
    assert isinstance(pictured.parts[0], Image.Image) and len(prompt_version()) == 25


def test_the_example_in_the_prompt_is_one_that_is_read() -> None:
    text = question("x").parts[0]
    assert isinstance(text, str)
    line = next(part for part in text.splitlines() if part.startswith('{"actions": ["Delete"'))
    assert len(read(line)) == 2


DOG = "take the dog out"


@pytest.mark.parametrize(
    ("replies", "edits", "reason", "final", "asks"),
    [
        ([reply()], (Edit("Delete", "dog"),), "", True, 1),
        (["oh", reply()], (Edit("Delete", "dog"),), "", True, 2),
        ([Reply(None, "max_tokens", cut=True), reply()], (Edit("Delete", "dog"),), "", True, 2),
        (["oh", "no"], None, UNREADABLE, True, 2),
        ([Reply(None, "filtered", refused=True)], None, REFUSED, True, 1),
        ([None], None, NO_REPLY, False, 1),
        (["oh", None], None, NO_REPLY, False, 2),
        ([reply([], [], [])], None, NO_EDIT, True, 1),
    ],
)
def test_asked_once_more_then_left_out(
    replies: list, edits: tuple[Edit, ...] | None, reason: str, final: bool, asks: int
) -> None:
    client = Labeller({DOG: replies})
    result = label(client, DOG)
    assert (result.edits, result.reason, result.final) == (edits, reason, final)
    assert client.asked[DOG] == asks
    if all(isinstance(r, str) for r in replies):
        assert result.usage.calls == asks and result.usage.dollars == pytest.approx(0.01 * asks)
