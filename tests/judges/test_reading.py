"""Replies are read when they say one thing, and refused otherwise: never guessed at, never another exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.form import Form, Number, Numbers, OneOf, Words
from judges.question import Unreadable
from judges.reading import check_number, the_lines, the_object

FORM = Form({"reasoning": Words(), "score": Numbers(2, Number(0, 10))})
GOOD = '{"reasoning": "The hat is there.", "score": [7, 9]}'
READ = {"reasoning": "The hat is there.", "score": (7, 9)}
NAMES = ("Prompt Compliance", "Visual Naturalness", "Physical & Detail Integrity")

prose = st.text(st.characters(exclude_characters="{}", exclude_categories=()), max_size=200).filter(
    lambda s: not s.lstrip().startswith("<think>") and "</think>" not in s
)
pieces = st.lists(
    st.sampled_from(
        [
            '{"',
            '"}',
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            '"reasoning"',
            '"score"',
            '"',
            "'",
            "7",
            "1e999",
            "NaN",
            "-0",
            "true",
        ]
        + ["null", "\\", "\n", "```json", "<think>", "</think>", GOOD, "Prompt Compliance: 4\n", "\ud800", "٣"]
    ),
    max_size=30,
).map("".join)
anything = st.one_of(st.text(st.characters(exclude_categories=()), max_size=300), pieces)


def either(read: Any, text: str) -> Any:
    """What was read, or None where it was Unreadable; any other exception is the test's failure."""
    try:
        return read(text)
    except Unreadable as error:
        assert str(error)
        return None


@settings(max_examples=400, deadline=None)
@given(anything)
def test_no_reply_raises_anything_but_unreadable(text: str) -> None:
    result = either(FORM.read, text)
    if result is not None:
        assert len(result["score"]) == 2 and all(0 <= n <= 10 for n in result["score"])
    lines = either(lambda t: the_lines(t, NAMES, 1, 5), text)
    if lines is not None:
        assert set(lines) == set(NAMES) and all(n in (1, 2, 3, 4, 5) for n in lines.values())


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=100), st.tuples(st.integers(0, 10), st.integers(0, 10)), prose, prose, st.booleans())
def test_a_good_reply_in_any_prose_without_braces_reads_back(
    why: str, scores: tuple[int, int], before: str, after: str, ascii_only: bool
) -> None:
    reply = json.dumps({"reasoning": why, "score": scores}, ensure_ascii=ascii_only)
    assert FORM.read(before + reply + after) == {"reasoning": why, "score": scores}


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Let me look. {GOOD} Hope this helps!",
        f"{GOOD}\n{GOOD}",  # the same thing said twice is one thing
        f'{{"note": "first thoughts"}} {GOOD}',  # another object that is no answer
        f"The set {{1, 2}} and \\frac{{a}}{{b}}: {GOOD}",  # braces that begin no object
        f"<think>maybe {{'score': [1, 1]}}</think>{GOOD}",
        f"It is {{'score': [1, 1]}} or so.</think>\n{GOOD}",  # a template may have opened the thoughts
        '{"score": [7.0, 9], "reasoning": "The hat is there.", "confidence": "high"}',
    ],
)
def test_what_says_one_thing_is_read(text: str) -> None:
    assert FORM.read(text) == READ


def test_line_breaks_inside_strings_are_text() -> None:
    assert FORM.read('{"reasoning": "one\ntwo", "score": [1, 2]}')["reasoning"] == "one\ntwo"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON object"),
        ("I'm sorry, but I can't assist with that request.", "no JSON object"),
        ("7 and 9", "no JSON object"),
        (GOOD[:-1], "cannot be read"),  # cut short
        (GOOD[:30], "cannot be read"),
        (f'{GOOD} {{"reasoning": "No.", "score": [2, 2]}}', "differ"),
        (f'{{"reasoning": "x", "score": [7, 9.5]}} {GOOD}', "differ"),
        ('{"reasoning": "x"}', "lacks 'score'"),
        ('{"result": ' + GOOD + "}", "lacks 'reasoning', 'score'"),
        ('{"reasoning": "x", "score": [1, 2], "score": [3, 4]}', "twice"),
        ("{'reasoning': 'x', 'score': [1, 2]}", "cannot be read"),
        ('{"reasoning": "x", "score": [1, 2,]}', "cannot be read"),
        ('{"reasoning": "x", "score": [1]}', "1 entries instead of 2"),
        ('{"reasoning": "x", "score": [1, 2, 3]}', "3 entries instead of 2"),
        ('{"reasoning": "x", "score": 7}', "no list"),
        ('{"reasoning": "x", "score": [11, 2]}', "not from 0 to 10"),
        ('{"reasoning": "x", "score": [-1, 2]}', "not from 0 to 10"),
        ('{"reasoning": "x", "score": [1e999, 2]}', "not from 0 to 10"),
        ('{"reasoning": "x", "score": [NaN, 2]}', "NaN"),
        ('{"reasoning": "x", "score": [7.5, 2]}', "no whole number"),
        ('{"reasoning": "x", "score": [true, 2]}', "no number"),
        ('{"reasoning": "x", "score": ["7", 2]}', "no number"),
        ('{"reasoning": "x", "score": [null, 2]}', "no number"),
        ('{"reasoning": 3, "score": [1, 2]}', "no text"),
        ("<think>It seems " + GOOD, "thinking"),
        ('{"a":' * 100_000, "nested"),
        ('{"reasoning": "x", "score": [' + "9" * 5000 + ", 1]}", "cannot be read"),
    ],
)
def test_what_is_broken_or_ambiguous_is_refused_with_its_reason(text: str, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        FORM.read(text)


def test_a_long_reply_is_cut_in_the_message() -> None:
    with pytest.raises(Unreadable) as caught:
        FORM.read("no " * 10_000)
    assert len(str(caught.value)) < 400


def test_fractions_count_only_where_the_protocol_takes_them() -> None:
    assert check_number(7.5, 0, 10, "score", whole=False) == 7.5
    assert Form({"score": Number(0, 10, whole=False)}).read('{"score": 7.5}') == {"score": 7.5}
    with pytest.raises(Unreadable, match="not from"):
        check_number(float("nan"), 0, 10, "score", whole=False)


def test_words_to_choose_from_are_spelled_exactly() -> None:
    form = Form({"better": OneOf(("A", "B", "tie"))})
    assert form.read('{"better": "tie"}') == {"better": "tie"}
    for wrong in ('"a"', '"Tie"', '"A is better"', '["A"]', "1"):
        with pytest.raises(Unreadable, match="none of A, B, tie"):
            form.read(f'{{"better": {wrong}}}')


LINES = "Brief reasoning: fine.\nPrompt Compliance: 5\nVisual Naturalness: 4\nPhysical & Detail Integrity: 3"


@pytest.mark.parametrize("text", [LINES, LINES.replace(": 5", ":** 5**").lower(), f"{LINES}\n- Prompt compliance: 5."])
def test_lines_are_read_by_name(text: str) -> None:
    assert the_lines(text, NAMES, 1, 5) == dict(zip(NAMES, (5, 4, 3), strict=True))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LINES.replace("5", "6"), "not from 1 to 5"),
        (LINES.replace("5", "4/5"), "no whole number"),
        (LINES.replace("5", "five"), "no whole number"),
        (LINES.replace("5", "٥"), "no whole number"),
        (LINES + "\nVisual Naturalness: 2", "said twice"),
        (LINES.partition("\nPhys")[0], "no line 'Physical"),
        ("Score: 2.", "no line"),
    ],
)
def test_lines_that_lack_a_score_are_refused(text: str, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        the_lines(text, NAMES, 1, 5)


def test_the_object_leaves_values_alone() -> None:
    assert the_object('{"a": {"b": [1, null]}}', ["a"]) == {"a": {"b": [1, None]}}


def test_schemas_are_what_strict_structured_output_demands() -> None:
    schema = FORM.schema
    assert list(schema["properties"]) == schema["required"] == ["reasoning", "score"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["score"] == {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 10},
        "minItems": 2,
        "maxItems": 2,
    }
