"""The text form of a decomposition: strict, total, and exactly reversible."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.plan import EditPlan, MalformedDecomposition, parse_decomposition, write_decomposition
from benchmarks.base import RESERVED, SEPARATORS, Decomposition, Edit, says_no_goal
from benchmarks.goals import GOAL_OF, Goal, fault_of, goal_of
from common.errors import BadInput, ImageEditError

GOOD = "<think>two</think><action>recolor; remove</action><subject>red star; moon</subject><goal>green; none</goal>"
PIECES = [
    *(f"<{slash}{tag}>" for tag in ("think", "action", "subject", "goal") for slash in ("", "/")),
    *(";", "none", " ", "\n", "<", ">", "a", "<|im_end|>", "\ud800", "\x00", "é", "；", GOOD),
]
items = st.text(min_size=1).filter(lambda s: s == s.strip() and not set(s) & set(RESERVED))
goals = items.filter(lambda s: not says_no_goal(s))
edits = (
    st.builds(Edit, st.sampled_from([a for a, goal in GOAL_OF.items() if goal is Goal.NEEDED]), items, goals)
    | st.builds(Edit, st.just("remove"), items)
    | st.builds(Edit, st.just("add") | items.filter(lambda a: goal_of(a) is Goal.OPTIONAL), items, st.none() | goals)
)
thoughts = st.text().filter(lambda s: "<" not in s) | st.just("3 < 4, 5 > 4; <b>")
decompositions = st.builds(Decomposition.of, st.lists(edits, min_size=1, max_size=5), thoughts)


def test_reads_what_the_docstring_shows():
    result = parse_decomposition(GOOD)
    assert result.edits == (Edit("recolor", "red star", "green"), Edit("remove", "moon"))
    assert result.think == "two"


def test_white_space_may_stand_between_and_around():
    result = parse_decomposition(
        "\n <think></think>\n<action> add </action>\t<subject>\nstar</subject><goal>none </goal>\n"
    )
    assert result.edits == (Edit("add", "star"),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "<think> stands 0 times"),
        ("make it red", "<think> stands 0 times"),
        (GOOD + GOOD, "<think> stands 2 times"),
        (GOOD.replace("</goal>", ""), "</goal> stands 0 times"),
        (GOOD.replace("<think>two</think>", "") + "<think>two</think>", "<think> was expected"),
        ("Sure! " + GOOD, "outside the tags: 'Sure!'"),
        (GOOD + ".", "outside the tags"),
        (GOOD.replace("</action>", "</action>,"), "outside the tags"),
        (GOOD.replace("recolor; remove", " "), "<action> is empty"),
        (GOOD.replace("red star; moon", ""), "<subject> is empty"),
        (GOOD.replace("recolor;", "recolor;;"), "item 2 of <action> is empty"),
        (GOOD.replace("moon", "moon;"), "item 3 of <subject> is empty"),
        (GOOD.replace("moon", "<b>moon"), "contains '<'"),
        (GOOD.replace("<action>", "<Action>"), "<action> stands 0 times"),
        ("<think><action>a</action></think><subject>b</subject><goal>c</goal>", "stands where"),
    ],
)
def test_says_what_is_wrong(text, says):
    with pytest.raises(MalformedDecomposition, match="(?s).*") as caught:
        parse_decomposition(text)
    assert says in str(caught.value)
    assert isinstance(caught.value, BadInput | ImageEditError)


def lists(action: str, subject: str, goal: str) -> str:
    return f"<think></think><action>{action}</action><subject>{subject}</subject><goal>{goal}</goal>"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (lists("add; add", "c", "none"), "differ in length (2 actions, 1 subjects, 1 goals)"),
        (lists("remove", "star", ""), "<goal> is empty; expected at least one item ('none' where there is no goal)"),
        (lists("remove", "star", "none; none"), "differ in length (1 actions, 1 subjects, 2 goals)"),
        (lists("recolor; recolor", "star; moon", "red"), "differ in length"),
        (lists("recolor", "star", "None"), "'recolor' of 'star' needs a goal"),
        (lists("Recolor!", "star", "none."), "'Recolor!' of 'star' needs a goal"),
        (lists("remove; recolor", "star; moon", "red; none"), "'remove' of 'star' has the goal 'red'"),
    ],
)
def test_what_cannot_be_carried_out_is_malformed(text, says):
    with pytest.raises(MalformedDecomposition) as caught:
        parse_decomposition(text)
    assert says in str(caught.value)


@pytest.mark.parametrize("word", ["none", "None", "NONE", " none ", "none.", "ｎｏｎｅ"])
def test_none_is_read_in_any_case(word):
    assert parse_decomposition(lists("remove; add", "moon; star", f"{word};top left")).edits == (
        *(Edit("remove", "moon"), Edit("add", "star", "top left")),
    )


@pytest.mark.parametrize("mark", SEPARATORS)
def test_the_semicolon_of_any_script_splits(mark):
    text = lists(f"recolor{mark} remove", f"red star{mark}moon", f"green {mark} none")
    assert parse_decomposition(text).edits == (Edit("recolor", "red star", "green"), Edit("remove", "moon"))
    with pytest.raises(BadInput, match="cannot hold"):
        write_decomposition(Decomposition.of([Edit("remove", f"star{mark} moon")]))


@given(decompositions)
def test_what_is_written_is_read_back_exactly(decomposition):
    assert parse_decomposition(write_decomposition(decomposition)) == decomposition


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
@settings(max_examples=400)
def test_any_string_is_read_or_refused(text):
    try:
        result = parse_decomposition(text)
    except MalformedDecomposition as error:
        assert str(error)
        return
    assert result.edits and not fault_of(result)
    assert parse_decomposition(write_decomposition(result)) == result


@given(st.integers(0, len(GOOD) - 1), st.text(max_size=3))
def test_a_damaged_text_is_read_or_refused(at, noise):
    with suppress(MalformedDecomposition):
        parse_decomposition(GOOD[:at] + noise + GOOD[at + 1 :])


@pytest.mark.parametrize(
    "decomposition",
    [
        Decomposition((), (), ()),
        Decomposition(("add",), (), ()),
        Decomposition(("add",), ("a;b",), (None,)),
        Decomposition(("add",), ("a<b",), (None,)),
        Decomposition(("add",), ("star",), ("none",)),
        Decomposition(("add",), ("star",), ("None.",)),
        Decomposition(("recolor",), ("star",), (None,)),
        Decomposition(("remove",), ("star",), ("red",)),
        Decomposition(("add", "add"), ("star",), (None,)),
        Decomposition(("add",), (" star",), (None,)),
        Decomposition(("",), ("star",), (None,)),
        Decomposition(("add",), ("star",), (None,), think="so </think>"),
    ],
)
def test_refuses_to_write_what_would_not_come_back(decomposition):
    with pytest.raises(BadInput):
        write_decomposition(decomposition)


@given(st.none() | decompositions, st.lists(st.text(), max_size=4).map(tuple))
def test_a_plan_survives_json(decomposition, sub_requests):
    plan = EditPlan(decomposition, sub_requests)
    assert EditPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "null", "{}", '{"decomposition": 3, "sub_requests": []}', '{"decomposition": null}',
             '{"decomposition": null, "sub_requests": "ab"}', "[" * 100_000]
)  # fmt: skip
def test_another_json_is_refused(text):
    with pytest.raises(BadInput, match="not an edit plan"):
        EditPlan.from_json(text)
