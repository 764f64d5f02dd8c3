"""Formatted instructions as the published scorer reads them, and what it cannot read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.mice_gold import gold_edit
from judges.sessions.mice_instruction import TASKS, parse_instruction

READ = [
    ("subject_add", "Add [lamp]", ("lamp",)),
    ("subject_add", "Add [lamp] on the [left] of [bed]", ("lamp", "left", "bed")),
    ("subject_remove", "Remove [red car]", ("red car",)),
    ("subject_replace", "Replace [cats] with [dogs]", ("cats", "dogs")),
    ("color_alter", "Change the color of [cup] to [blue]", ("cup", "blue")),
    ("material_alter", "Change the material of [cup] to [glass]", ("cup", "glass")),
    ("text_change", "Add text '[SALE]' on the image", ("SALE",)),
    ("text_change", "Replace the text '[OPEN]' on [sign] with '[CLOSED]'", ("OPEN", "sign", "CLOSED")),
    ("position_change", "Change the position of [cup] to [above] of [table]", ("cup", "above", "table")),
    ("count_change", "Change the count of [cup] to [3]", ("cup", "3")),
    ("background_change", "Change the background to [a beach]", ("a beach",)),
    ("background_change", "Change the background to beach, remain the dog, cat unchanged", ("beach", "dog", " cat")),
]


@pytest.mark.parametrize(("task", "text", "arguments"), READ)
def test_every_form_is_read(task: str, text: str, arguments: tuple[str, ...]) -> None:
    assert parse_instruction(task, text) == arguments
    assert parse_instruction(task, f"Please: {text}. Thanks") == arguments  # it is searched for, not matched whole


def test_there_is_a_form_of_every_task_and_their_gold_agrees() -> None:
    assert {task for task, *_ in READ} == set(TASKS)
    for task, text, arguments in READ[:-1]:
        edit = gold_edit(task, text)
        assert edit.subject in (*arguments, "image", "background")


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("text_change", "Add text '[]' on the image"),  # empty: seven edits of the published test sessions
        ("text_change", "Replace the text '[]' on [sign] with '[X]'"),
        ("subject_remove", "Add [lamp]"),
        ("subject_remove", "remove [lamp]"),
        ("count_change", "Change the count of [cup]"),
        ("zoom_in", "Zoom in on [cup]"),
    ],
)
def test_what_cannot_be_read_is_none(task: str, text: str) -> None:
    assert parse_instruction(task, text) is None


@given(st.sampled_from(TASKS), st.text(max_size=80))
def test_no_text_makes_it_fail(task: str, text: str) -> None:
    found = parse_instruction(task, text)
    assert found is None or all(isinstance(argument, str) for argument in found)
