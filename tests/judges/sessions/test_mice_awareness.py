"""The final answer of a session's judge, and what it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.base import EditSession
from benchmarks.item import Item
from judges.prompt import load_prompt
from judges.sessions.base import PlayedSession
from judges.sessions.mice_awareness import PROMPTS, category_of, final_answer, pictures_so_far, turns_so_far
from judges.sessions.mice_turn import Turn


def played(kind: str, rule: str | None = None) -> PlayedSession:
    said, meant = ("Add a cup", "Make it blue"), ("Add [cup]", "Change the color of [cup] to [blue]")
    items = tuple(Item(f"s-{k}", said[k], (), kind, facts={"formatted_instruction": meant[k]}) for k in range(2))
    pictures = tuple(Image.new("RGB", (4, 4), (0, 0, k)) for k in range(3))
    return PlayedSession(EditSession("s", items, rule), pictures[0], pictures[1:])


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("<answer_turn_1> yes </answer_turn_1><answer_final> yes </answer_final>", True),
        ("<answer_turn_1> no </answer_turn_1>\n<answer_final>NO</answer_final>", False),
        ("<answer_turn_1> yes </answer_turn_1>", None),
        ("<answer_final> perhaps </answer_final>", None),
        ("yes", None),
        ("<think><answer_final> no </answer_final>?</think><answer_final> yes </answer_final>", True),
    ],
)
def test_the_final_answer_alone_counts(reply: str, answer: bool | None) -> None:
    assert final_answer(reply) is answer


@given(st.text(max_size=60))
def test_no_reply_makes_it_fail(reply: str) -> None:
    assert final_answer(reply) in (True, False, None)


def test_a_turn_is_judged_with_all_pictures_and_instructions_before_it() -> None:
    session = played("cm")
    first, second = Turn(session, 0), Turn(session, 1)
    assert pictures_so_far(first) == (session.source, session.pictures[0])
    assert pictures_so_far(second) == (session.source, *session.pictures)
    assert turns_so_far(first) == "Turn 1: Add a cup" and turns_so_far(second).endswith("Turn 2: Make it blue")
    assert "[cup]" not in turns_so_far(second)
    assert "Change the color of [cup] to [blue]" in turns_so_far(Turn(played("cu"), 1))


def test_sessions_of_other_benchmarks_are_cm_where_they_have_a_rule() -> None:
    assert [category_of(Turn(s, 0)) for s in (played("cm"), played("cu"), played("", "all red"), played(""))] == [
        "cm",
        "cu",
        "cm",
        "cu",
    ]


def test_the_prompts_name_the_answer_that_is_read() -> None:
    for name, fields in PROMPTS.items():
        text = load_prompt(name, fields).fill(turns="Turn 1: Add a cup")
        assert "Turn 1: Add a cup" in text and final_answer(text) is False  # it shows both, "no" first
