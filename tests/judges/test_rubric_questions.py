"""What each protocol sends: which pictures in which order and size, which words, which sampling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from judges.question import Encoding, JudgeSampling, Question
from judges.rubrics import make_rubric
from judges.rubrics.imgedit import LINES
from tests.rubric_items import AFTER, BEFORE, CASES, MICE, REFERENCE, REQUEST, RISE, SOURCE, ask, item, reply_of

TEXT = "text"
NAMES = {id(BEFORE): "before", id(AFTER): "after", id(SOURCE): "source", id(REFERENCE): "reference"}


def order(question: Question) -> tuple[str, ...]:
    return tuple(TEXT if isinstance(part, str) else NAMES.get(id(part), "other") for part in question.parts)


def text_of(question: Question) -> str:
    return "\n".join(part for part in (question.system, *question.parts) if isinstance(part, str))


@pytest.mark.parametrize(
    ("name", "of", "orders"),
    [
        ("paper", item(), {"aspects": (TEXT, "before", "after")}),
        ("viescore", item(), {"sc": (TEXT, "before", "after"), "pq": (TEXT, "after")}),
        ("gedit", item(), {"sc": (TEXT, "before", "other"), "pq": (TEXT, "other")}),
        ("imgedit", item("extract"), {"edit": (TEXT, "before", "after")}),
        ("imgedit", item("uge"), {"edit": (TEXT, "before", "after")}),
        ("editscore", item(), {"sc": ("before", "after", TEXT), "pq": ("after", TEXT)}),
        ("complex_edit", item(), {"alignment": ("before", "after", TEXT), "quality": ("after",)}),
        (
            "rise",
            RISE["plain"],
            {"consistency": (TEXT, "before", "after"), "reasoning": (TEXT, "after"), "plausibility": (TEXT, "after")},
        ),
        (
            "rise",
            RISE["source"],
            {
                "consistency": (TEXT, "before", "after"),
                "reasoning": (TEXT, "before", "after"),
                "plausibility": (TEXT, "after"),
            },
        ),
        ("rise", RISE["free"], {"reasoning": (TEXT, "after"), "plausibility": (TEXT, "after")}),
        (
            "rise",
            RISE["picture"],
            {
                "consistency": (TEXT, "reference", "after"),
                "reasoning": (TEXT, "reference", "after"),
                "plausibility": (TEXT, "after"),
            },
        ),
        ("rise", RISE["logical"], {"consistency": (TEXT, "before", "after"), "reasoning": (TEXT, "after")}),
        (
            "rise",
            RISE["logical picture"],
            {"consistency": (TEXT, "reference", "after"), "reasoning": (TEXT, "reference", "after")},
        ),
        ("mice", MICE["nothing unchanged"], {"if": (TEXT, "before", "after"), "ga": (TEXT, "before", "after")}),
    ],
)
def test_pictures_come_in_the_protocols_order(name: str, of: EditSample, orders: dict[str, tuple[str, ...]]) -> None:
    assert {key: order(question) for key, question in ask(make_rubric(name), of).items()} == orders


def test_gedit_shows_both_questions_the_edited_picture_in_the_sources_size() -> None:
    asked = ask(make_rubric("gedit"), item())
    for question in asked.values():
        shown = question.parts[-1]
        assert isinstance(shown, Image.Image) and shown.size == BEFORE.size
        assert shown.getpixel((5, 5)) == AFTER.getpixel((5, 5))
    same = make_rubric("gedit").questions(item(), BEFORE, BEFORE)
    assert same[0].parts[2] is BEFORE  # nothing to resize


def test_mice_compares_with_where_the_session_began() -> None:
    asked = ask(make_rubric("mice"), replace(MICE["cm"], source=lambda: SOURCE))
    assert order(asked["if"]) == (TEXT, "before", "after")
    assert order(asked["ga"]) == (TEXT, "source", "after")
    assert order(asked["cc"]) == (TEXT, "source", "other")
    resized = asked["cc"].parts[2]
    assert isinstance(resized, Image.Image) and resized.size == SOURCE.size


def test_mice_asks_for_the_turn_without_its_rule_and_for_the_session_with_it() -> None:
    asked = ask(make_rubric("mice"), MICE["cm"])
    turn, session, kept = (text_of(asked[name]) for name in ("if", "ga", "cc"))
    assert "Replace bowl with cup" in turn and "wool" not in turn and "it with" not in turn
    assert "Turn 1: From now on, use wool. With this rule active, Add a bowl\nTurn 2: Replace it with a cup" in session
    assert "holds for every turn: From now on, use wool." in session and "tint" in session
    assert "- red chair\n- lamp\n- the background" in kept
    first = item(
        "cm", request="From now on, use wool. With this rule active, Add a bowl", rule="From now on, use wool."
    )
    assert "\nAdd a bowl\n" in text_of(ask(make_rubric("mice"), first)["if"])
    without = text_of(ask(make_rubric("mice"), MICE["nothing unchanged"])["ga"])
    assert "lasting rule" not in without and "\n\n\n" not in without


def test_rise_says_what_is_right_where_the_protocol_does() -> None:
    rubric = make_rubric("rise")
    assert "A brown banana." in text_of(ask(rubric, RISE["plain"])["reasoning"])
    assert "A brown banana." not in text_of(ask(rubric, RISE["plain"])["consistency"])
    assert "original picture comes before" in text_of(ask(rubric, RISE["source"])["reasoning"])
    logical = ask(rubric, RISE["logical"])
    assert "The number 7." in text_of(logical["reasoning"]) and REQUEST not in text_of(logical["reasoning"])
    assert "The number 7." in text_of(logical["consistency"]) and REQUEST in text_of(logical["consistency"])
    assert REQUEST in text_of(ask(rubric, RISE["logical picture"])["reasoning"])
    assert REQUEST not in text_of(ask(rubric, RISE["logical alone"])["reasoning"])


@pytest.mark.parametrize(("name", "of"), CASES, ids=lambda v: v if isinstance(v, str) else v.kind)
def test_every_prompt_shows_the_reply_it_wants_with_its_keys_in_the_schemas_order(name: str, of: EditSample) -> None:
    for question in ask(make_rubric(name), of).values():
        text, schema = text_of(question), question.schema
        assert schema is not None and schema["required"] == list(schema["properties"])
        assert schema["additionalProperties"] is False
        example = text[text.rindex('{"') :].strip()
        places = [example.index(f'"{key}"') for key in schema["properties"]]
        assert places == sorted(places)
        for field in schema["properties"].values():
            number = field.get("items", field)
            if number["type"] == "integer":
                assert f"{number['minimum']}-{number['maximum']}" in example
        reply = reply_of(question, lambda low, high: high)
        assert set(question.read(json.dumps(reply))) == set(reply)


def test_questions_of_a_kind_share_one_schema_so_that_a_client_keeps_few() -> None:
    for name, of in CASES:
        rubric = make_rubric(name)
        one, other = ask(rubric, of), ask(make_rubric(name), replace(of, id="another"))
        assert all(one[key].schema is other[key].schema for key in one)


def keys_of(question: Question) -> Sequence[str]:
    assert question.schema is not None
    return list(question.schema["properties"])


def test_reasoning_comes_before_the_scores_but_where_the_protocol_has_it_otherwise() -> None:
    for name, of in CASES:
        for question in ask(make_rubric(name), of).values():
            if name in ("viescore", "gedit"):
                assert keys_of(question) == ["score", "reasoning"]
            elif question.name == "quality":
                assert keys_of(question) == ["perceptual_quality"]
            else:
                assert keys_of(question)[0] == "reasoning"


@pytest.mark.parametrize(("name", "of"), CASES, ids=lambda v: v if isinstance(v, str) else v.kind)
def test_the_request_is_said_in_a_question_as_it_stands(name: str, of: EditSample) -> None:
    assert any(of.request in text_of(question) for question in ask(make_rubric(name), of).values())


def test_imgedit_has_criteria_of_its_own_for_each_type() -> None:
    texts = {kind: text_of(ask(make_rubric("imgedit"), item(edit_type=kind))["edit"]) for kind in LINES}
    assert len(set(texts.values())) == len(LINES) == 9
    assert all("never be higher than the first" in text for text in texts.values())
    hybrid, compose = (text_of(ask(make_rubric("imgedit"), item(k))["edit"]) for k in ("hybrid", "compose"))
    assert hybrid == compose


@pytest.mark.parametrize(
    ("name", "sampling", "repeats", "encoding"),
    [
        ("paper", JudgeSampling(0.0), 1, Encoding("png", 95, 1024)),
        ("viescore", JudgeSampling(None, max_tokens=1400), 1, Encoding("jpeg", 75, None)),
        ("gedit", JudgeSampling(None, max_tokens=1400), 1, Encoding("jpeg", 75, None)),
        ("imgedit", JudgeSampling(None), 1, Encoding("png", 95, None)),
        ("editscore", JudgeSampling(0.7, 0.9, 20, 512), 1, Encoding("png", 95, 1024)),
        ("complex_edit", JudgeSampling(1.0, max_tokens=512), 20, Encoding("png", 95, None, "high")),
        ("rise", JudgeSampling(0.0, max_tokens=4096), 1, Encoding("jpeg", 75, 768, "high")),
        ("mice", JudgeSampling(0.6), 4, Encoding("png", 95, 1024)),
    ],
)
def test_sampling_passes_and_encoding_are_the_protocols(
    name: str, sampling: JudgeSampling, repeats: int, encoding: Encoding
) -> None:
    rubric = make_rubric(name)
    assert rubric.name == name and rubric.sampling == sampling and rubric.repeats == repeats
    of = next(of for known, of in CASES if known == name)
    assert {question.encoding for question in ask(rubric, of).values()} == {encoding}


@pytest.mark.parametrize(
    ("name", "of", "says"),
    [
        *((name, replace(of, request=" \n"), "empty request") for name, of in dict(CASES).items()),
        ("imgedit", item(edit_type="zoom"), "'zoom'.*replace, add"),
        ("imgedit", EditSample("s", "x", ()), "edit type ''"),
        ("rise", item("temporal"), "needs a reference"),
        ("rise", item("logical"), "needs a reference"),
        ("rise", item("historical", reference_text="x"), "'historical'.*temporal"),
        ("mice", item(unchanged_objects="chair"), "no list of names"),
    ],
)
def test_an_item_that_lacks_what_the_protocol_needs_is_refused(name: str, of: EditSample, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        make_rubric(name).questions(of, BEFORE, AFTER)
