"""Labelled records: PSR's actions in the words that are trained, lines that are read back, parts that agree with MICE's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.plan import parse_decomposition, write_decomposition
from benchmarks.base import ACTIONS, RESERVED, Decomposition, Edit, says_no_goal
from benchmarks.goals import fault_of_edit
from benchmarks.labels import (
    BY_DATA,
    PSR_ACTIONS,
    RECORDS,
    Labelled,
    part_of_request,
    psr_action,
    read_records,
    training_action,
)
from benchmarks.mice import MiceText
from benchmarks.mice_records import ENV
from common.errors import BadData, BadInput, MissingFile


def test_psr_has_fifteen_actions_of_which_seven_are_ours() -> None:
    assert len(PSR_ACTIONS) == len({a.name for a in PSR_ACTIONS}) == 15
    mapped = {a.name: a.ours for a in PSR_ACTIONS if a.ours}
    assert set(mapped.values()) <= set(ACTIONS)
    assert mapped == {
        "Add": "add",
        "Delete": "remove",
        "Replace": "replace",
        "Move": "move",
        "Recoloring": "recolor",
        "Zoom": "zoom",
        "Relighting": "relight",
    }


@pytest.mark.parametrize(
    ("labelled", "trained"),
    [("Delete", "remove"), ("delete ", "remove"), ("Specialized  operation", "specialized operation")]
    + [("Superresolution", "superresolution"), *((a, a) for a in ACTIONS)],
)
def test_what_is_trained(labelled: str, trained: str) -> None:
    assert training_action(labelled) == trained
    assert training_action(trained) == trained  # a word of ours stays


def test_names_are_found_whatever_their_case() -> None:
    assert psr_action("RECOLORING") is psr_action("Recoloring") is not None
    assert psr_action("paint") is None


def record(**more: object) -> Labelled:
    values = {"id": "psr-1", "request": "take the man out", "edits": (Edit("Delete", "man"),), "source": "psr"}
    return Labelled(**{**values, "licence": "x", "labels": BY_DATA, **more})  # type: ignore[arg-type]


ITEM = st.text(min_size=1, max_size=8).map(str.strip).filter(lambda t: t and not set(RESERVED) & set(t))
PLACEHOLDER = st.sampled_from(
    ["none", "None.", "N/A", "n / a", "null", "NIL", "-", "\u2014", "not applicable", "", " "]
)
GOAL = st.none() | PLACEHOLDER | ITEM
EDIT = st.builds(Edit, ITEM, ITEM, GOAL).filter(lambda e: not fault_of_edit(e))


@given(
    st.lists(EDIT, min_size=1, max_size=4),
    st.text(min_size=1).filter(str.strip),
    st.lists(st.text(), max_size=2),
)
def test_a_line_gives_back_the_record(edits: list[Edit], request: str, history: list[str]) -> None:
    made = record(edits=tuple(edits), request=request, history=tuple(history), picture="p.png", kind="k")
    assert not any(says_no_goal(e.goal) for e in made.edits if e.goal is not None)  # one way to write it
    line = made.to_json()
    assert "\n" not in line and Labelled.from_json(line) == made
    text = write_decomposition(Decomposition.of(made.edits))  # every record can be written as a decomposition
    assert parse_decomposition(text).edits == made.edits


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (Edit("recolor", "red；blue", "green"), "cannot hold"),
        (Edit("recolor", "star ", "green"), "white space around it"),
    ],
)
def test_a_record_that_the_format_cannot_hold_is_not_written(edit: Edit, says: str) -> None:
    with pytest.raises(BadInput, match=f"'psr-1' cannot be written.*{says}"):
        record(edits=(edit,)).to_json()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": ""}, "'id'"),
        ({"request": None}, "'request'"),
        ({"edits": []}, "at least one edit"),
        ({"edits": [{"action": "add"}]}, "'subject'"),
        ({"edits": [{"action": "add", "subject": "a;b"}]}, "';'"),
        ({"edits": [{"action": "add", "subject": "a", "goal": "none"}]}, "absent goal"),
        ({"edits": [{"action": "add", "subject": "a", "goal": "n/a"}]}, "absent goal"),
        ({"edits": [{"action": "add", "subject": "a", "goal": 3}]}, "a text or null"),
        ({"history": "x"}, "'history'"),
        ({"picture": 3}, "'picture'"),
        ({"labels": {}}, "who labelled"),
    ],
)
def test_a_bad_line_is_named(change: dict, says: str, tmp_path: Path) -> None:
    row = json.loads(record().to_json()) | change
    (tmp_path / RECORDS).write_text(record().to_json() + "\n\n" + json.dumps(row) + "\n")
    with pytest.raises(BadData, match=says) as caught:
        list(read_records(tmp_path))
    assert f"{tmp_path / RECORDS}:3:" in str(caught.value)


def test_a_folder_without_records_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="experiments.prepare"):
        list(read_records(tmp_path))


def test_equal_requests_are_in_one_part_and_a_session_is_whole() -> None:
    assert part_of_request("make  it\nred") == part_of_request("make it red")
    assert part_of_request("then remove it", ("make it red",)) == part_of_request("make it red")
    parts = [part_of_request(f"request {i}") for i in range(2000)]
    shares = {p: parts.count(p) / 2000 for p in ("train", "validation", "test")}
    assert 0.77 < shares["train"] < 0.83 and 0.12 < shares["test"] < 0.18 and 0.03 < shares["validation"] < 0.07


@pytest.mark.skipif(not os.environ.get(ENV), reason=f"{ENV} is not set")
def test_parts_agree_with_those_of_mice_text() -> None:
    for split in ("train", "validation", "test"):
        assert {part_of_request(s.request, s.history) for s in MiceText(split=split)} == {split}
