"""What a turn of MICE-Bench means by itself: rules are read in every published wording, pronouns and exemptions as its judge has
them."""

from __future__ import annotations

import os

import pytest

from benchmarks.base import Edit, EditSample
from benchmarks.mice import MiceText
from benchmarks.mice_intents import asks_by_pronoun, lasting, mice_intent, object_resolved, rule_carried, rule_value
from benchmarks.mice_records import rule_of

PEACH = (
    "Set a persistent rule for all following edits: peach color must be applied exclusively to the specific object being directly "
    "added or modified — do not colorize the background, surrounding elements, or any untouched area."
)
FIRST = f"{PEACH} With this rule active, Change the background to gym"
RULES = {
    PEACH: ("peach", "color"),
    "Apply a standing constraint to all subsequent edits: only the object directly involved in each edit should receive pink color "
    "— the background, surrounding objects, and any area not explicitly edited must remain unaffected.": (
        "pink",
        "color",
    ),
    "From now on, every edit must apply stainless steel material only to the object that is being added or changed — leave the "
    "texture, surface, and material of the background untouched.": ("stainless steel", "material"),
    "From now on, every edit must use black color only on the object that is being added or changed.": (
        "black",
        "color",
    ),
    "only the object directly involved in each edit should be given metal material": ("metal", "material"),
}


def turn(edit: Edit, kind: str, request: str, *history: str) -> EditSample:
    return EditSample("s-2", request, (edit,), kind, history)


@pytest.mark.parametrize(("rule", "value"), RULES.items())
def test_rules_in_the_published_wordings(rule: str, value: tuple[str, str]) -> None:
    assert rule_value(rule) == value


def test_a_text_without_a_rule_has_none() -> None:
    assert rule_value("make it nicer") is None and rule_of("make it nicer") is None and rule_of(FIRST) == PEACH


def test_a_rule_holds_for_later_turns_that_remove_nothing() -> None:
    teapot = Edit("replace", "robot", "teapot")
    later = turn(teapot, "cm", "Replace robot with teapot", FIRST)
    assert (
        lasting(later) == ("peach", "color") and mice_intent(later) == "replace the robot with a teapot, in peach color"
    )
    assert rule_carried(mice_intent(later), later) and not rule_carried("replace the robot with a peach teapot", later)
    assert lasting(turn(Edit("remove", "robot"), "cm", "Remove robot", FIRST)) is None
    assert lasting(turn(teapot, "cm", FIRST)) is None and lasting(turn(teapot, "cu", "Replace it", FIRST)) is None


def test_pronouns() -> None:
    teal = Edit("recolor", "gray polo shirt", "teal")
    it = turn(teal, "cu", "Change its color to teal", "Change the color of white polo shirt to gray")
    assert asks_by_pronoun(it) and not asks_by_pronoun(turn(teal, "cu", "Make the gray polo shirt teal", "x"))
    assert not asks_by_pronoun(turn(teal, "cu", "Change its color to teal"))  # nothing was said before
    assert not asks_by_pronoun(turn(Edit("text", "image", "Hi"), "cu", "Add text 'Hi' on it", "x"))
    assert object_resolved("Change the color of the Gray polo shirt to teal.", it)
    assert not object_resolved("change the color of the polo shirt to teal", it)
    assert not object_resolved("change the color of the white polo shirt to teal", it)


@pytest.mark.skipif(not os.environ.get("IMAGEEDIT_DATA"), reason="IMAGEEDIT_DATA names no folder with data")
def test_every_published_turn_is_said_by_its_own_intent() -> None:
    samples = MiceText(None, "all").samples
    ruled = [s for s in samples if lasting(s)]
    it = [s for s in samples if asks_by_pronoun(s)]
    assert len(ruled) > 3000 and len(it) > 1300
    assert all(rule_carried(mice_intent(s), s) for s in ruled) and all(object_resolved(mice_intent(s), s) for s in it)
    later = [s for s in samples if s.kind == "cm" and s.history]
    assert all(rule_value(rule_of(s.history[0]) or "") for s in later)
