"""Reasoning traces: what is written can be read, and every other text is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.question import Unreadable
from judges.reasoning.trace import Form, Trace, read_trace, write_trace

QUESTIONS = ("is the hat red?", "isn't the dog's collar kept?", "a \\ in 'quotes'?")
TRACE = Trace("the hat is red now", (1, 0, 1), 6.5)
FORMS = list(Form)


def of_form(trace: Trace, form: Form) -> Trace:
    return Trace(trace.thought if form.thinks else "", trace.verdicts if form.verifies else (), trace.score)


def test_the_text_is_the_papers() -> None:
    """arXiv 2604.27505: entries, their mean, then the score."""
    assert write_trace(Trace("seen", (1, 0), 7), ("a?", "b?")) == (
        "<think>seen</think>[{'question': 'a?', 'score': 1}, {'question': 'b?', 'score': 0}], "
        '{"average_score": 0.5} <score> 7 </score>'
    )


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_is_read_again(form: Form) -> None:
    trace = of_form(TRACE, form)
    assert read_trace(write_trace(trace, QUESTIONS, form), QUESTIONS, form) == trace


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=20).filter(str.strip), st.integers(0, 1)), min_size=1, max_size=8),
    st.integers(0, 100),
    st.sampled_from(FORMS),
)
def test_any_question_survives(rows: list[tuple[str, int]], tenths: int, form: Form) -> None:
    questions = [q for q, _ in rows]
    trace = of_form(Trace("", tuple(v for _, v in rows), tenths / 10), form)
    if any("<" in q for q in questions):
        return  # a question may hold the tags themselves, and is then refused
    assert read_trace(write_trace(trace, questions, form), questions, form) == trace


@given(st.text(), st.sampled_from(FORMS))
def test_no_text_makes_it_crash(text: str, form: Form) -> None:
    with suppress(Unreadable):
        read_trace(text, QUESTIONS, form)


def test_json_and_spaces_behind_quotes_are_read() -> None:
    """Models write JSON as well as single quotes, and a tokenizer may put a space before every word."""
    text = '<think> x</think>[{" question": " is the HAT red?", " score": 1}], {"average_score":  1.0} <score> 9 . 5 </score>'
    assert read_trace(text, ("is the hat red?",)) == Trace("x", (1,), 9.5)


GOOD = write_trace(Trace("x", (1, 0), 5), ("a?", "b?"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not begin"),
        (GOOD.replace("<think>", ""), "does not begin"),
        ("so: " + GOOD, "does not begin"),
        (GOOD.replace("<think>", "<think><think>"), "does not begin"),
        (GOOD + "</think>", "does not begin"),
        (GOOD + " and more", "follows the score"),
        (GOOD + "<score> 6 </score>", "no single"),
        (GOOD.replace("<score> 5 </score>", ""), "no single"),
        (GOOD.replace("<score> 5", "<score> five"), "no single"),
        (GOOD.replace("<score> 5", "<score> 11"), "not from 0 to 10"),
        (GOOD.replace("<score> 5", "<score> -5"), "no single"),
        (GOOD.replace("<score> 5", "<score> nan"), "no single"),
        (GOOD.replace("[{", "{"), "no list of points"),
        (GOOD.replace(", {'question': 'b?', 'score': 0}", ""), "1 entries for 2"),
        (GOOD.replace("'b?'", "'c?'"), "was asked"),
        (GOOD.replace("'score': 0", "'score': 2"), "0 or 1"),
        (GOOD.replace("'score': 0", "'score': False"), "0 or 1"),
        (GOOD.replace("'score': 0", "'score': '0'"), "0 or 1"),
        (GOOD.replace("'score': 0", "'points': 0"), "no {'question', 'score'}"),
        (GOOD.replace("0.5}", "0.9}"), "the mean of the points"),
        (GOOD.replace("average_score", "mean"), "the mean of the points"),
        (GOOD.replace("[{", "[__import__('os'), {"), "no list or object"),
        (GOOD.replace("[{", "[" * 5000 + "{"), "can be read here|does not begin"),
    ],
)
def test_what_is_no_trace_is_refused(text: str, said: str) -> None:
    assert read_trace(GOOD, ("a?", "b?")) == Trace("x", (1, 0), 5)
    with pytest.raises(Unreadable, match=said):
        read_trace(text, ("a?", "b?"))


@pytest.mark.parametrize("form", [Form.THINK, Form.SCORE])
def test_a_form_without_points_has_none(form: Form) -> None:
    text = ("<think>x</think>" if form.thinks else "") + "[] <score> 5 </score>"
    with pytest.raises(Unreadable, match="only a score"):
        read_trace(text, ("a?",), form)


def test_a_form_without_a_thought_has_none() -> None:
    with pytest.raises(Unreadable, match="a thought"):
        read_trace(GOOD, ("a?", "b?"), Form.VERIFY)
