"""Plans by rules: order, wording for both executions, and the model's version with its fallback."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.backends.base import Completion, Sampling
from agents.naming import renamed
from agents.prompt_files import load_prompt
from agents.sequencer import RulesSequencer
from agents.vlm_sequencer import VLMSequencer, parse_steps
from benchmarks.base import ACTIONS, Decomposition, Edit, EditSample
from benchmarks.goals import fault
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput

RULES = RulesSequencer()
SAMPLE = EditSample("s", "do  it", ())


def plan(execution: str, *edits: tuple) -> list[str]:
    return list(RULES.plan(Decomposition.of(Edit(*e) for e in edits), execution))


def test_one_explicit_line_for_each_edit_in_the_order_given():
    edits = [("move", "red star", "top left"), ("text", "image", "HI"), ("count", "fish", "3")]
    for execution in ("single", "multi"):
        assert plan(execution, *edits) == [
            *(
                "move the red star to the top left",
                "add the text 'HI' to the image",
                "change the count of the fish to 3",
            )
        ]


def test_whole_picture_edits_come_after_local_ones_and_the_zoom_last():
    edits = [
        ("zoom", "image", "center"),
        ("tone", "image", "sepia"),
        ("background", "background", "sea"),
        ("remove", "x"),
    ]
    assert plan("single", *edits) == [
        *("remove the x", "change the background to sea", "make the image sepia", "zoom in on the center")
    ]


def test_an_object_is_edited_and_used_as_a_place_before_it_goes():
    edits = [("remove", "red star"), ("add", "green fish", "left of red star"), ("recolor", "Red Star", "blue")]
    assert plan("single", *edits) == [
        "add a green fish to the left of the red star",
        "change the color of the Red Star to blue",
        "remove the red star",
    ]
    assert plan("multi", *edits)[-1] == "remove the blue star"


def test_a_place_is_used_before_it_moves():
    edits = [("move", "moon", "top left"), ("move", "fish", "below moon"), ("remove", "tree")]
    assert plan("multi", *edits) == [
        *("move the fish below the moon", "move the moon to the top left", "remove the tree")
    ]


def test_multi_names_things_by_their_present_look_and_single_by_the_given_one():
    for name in ("red circle", "blue circle"):  # the old and the new name mean the same thing
        edits = [("recolor", "red circle", "blue"), ("move", name, "top left"), ("add", "tree", f"above {name}")]
        assert plan("multi", *edits) == [
            "change the color of the red circle to blue",
            "add a tree above the blue circle",
            "move the blue circle to the top left",
        ]
        assert plan("single", *edits)[1:] == ["add a tree above the red circle", "move the red circle to the top left"]


def test_new_objects_come_before_what_calls_them():
    assert plan("multi", ("material", "red circle", "striped"), ("add", "small red circle", None))[0].startswith("add")
    assert plan("multi", ("material", "red circle", "striped"), ("add", "red circle", "top left")) == [
        *("add a red circle at the top left", "change the material of the red circle to striped")
    ]
    edits = [
        ("replace", "red star", "small green heart"),
        ("recolor", "green heart", "blue"),
        ("move", "blue heart", "center"),
    ]
    assert plan("multi", *edits) == [
        "replace the red star with a small green heart",
        "change the color of the green heart to blue",
        "move the blue heart to the center",
    ]
    assert plan("single", *edits)[2] == "move the green heart to the center"


def test_a_name_is_used_before_it_is_given_away():
    edits = [("recolor", "red star", "blue"), ("recolor", "blue star", "green"), ("move", "red star", "center")]
    assert plan("multi", *edits) == [
        "change the color of the blue star to green",
        "change the color of the red star to blue",
        "move the blue star to the center",
    ]
    assert plan("multi", ("add", "red star", "center"), ("remove", "red star"))[0] == "remove the red star"
    assert plan("multi", ("recolor", "red star", "blue"), ("remove", "blue star"))[0] == "remove the blue star"


def test_swaps():
    different = [
        ("recolor", "red star", "blue"),
        ("recolor", "blue moon", "red"),
        ("move", "red moon", "left of blue star"),
    ]
    assert plan("multi", *different) == [
        "change the color of the red star to blue",
        "change the color of the blue moon to red",
        "move the red moon to the left of the blue star",
    ]
    assert plan("single", *different)[2] == "move the blue moon to the left of the red star"
    # two stars: after either call there would be two of one name, so both changes share a call
    alike = [("recolor", "red star", "blue"), ("recolor", "blue star", "red"), ("remove", "tree")]
    assert plan("multi", *alike) == [
        "change the color of the red star to blue; change the color of the blue star to red",
        "remove the tree",
    ]
    assert len(plan("single", *alike)) == 3
    places = [("move", "fish", "left of moon"), ("move", "moon", "right of fish")]
    assert plan("multi", *places) == ["move the fish to the left of the moon; move the moon to the right of the fish"]


def test_repetitions_and_second_ends_are_dropped():
    assert plan("multi", ("remove", "x"), ("remove", "x"), ("replace", "x", "y")) == ["remove the x"]
    assert len(plan("multi", ("add", "star", None), ("add", "star", None))) == 2


@pytest.mark.parametrize(
    ("name", "action", "goal", "after"),
    [
        ("white dandelion seed head", "recolor", "black", "black dandelion seed head"),
        ("red and white striped shirt", "recolor", "blue", "blue striped shirt"),
        ("dark green car", "recolor", "pink", "pink car"),
        ("orange", "recolor", "blue", "orange"),  # a fruit
        ("metal green car", "material", "wood", "wood green car"),
        ("striped red star", "material", "dotted", "dotted red star"),
        ("red star", "move", "top left", "red star"),
        ("red star", "recolor", r"\1", r"\1 star"),
    ],
)
def test_names_after_a_change(name, action, goal, after):
    assert renamed(name, Edit(action, name, goal)) == after


names = st.sampled_from(["red star", "blue star", "green heart", "image", "background", "the", "", "a red star"])
places = st.sampled_from(
    ["left of red star", "above blue star", "top left", "red", "blue", "green heart", "left of ", None]
)
one = st.builds(Edit, st.sampled_from([*ACTIONS, "sharpen"]), names, places).filter(lambda e: not fault([e]))
anything = st.lists(one, min_size=1, max_size=6)


@given(anything, st.sampled_from(["single", "multi"]))
def test_any_decomposition_has_a_plan_in_which_nothing_is_split_or_lost(edits, execution):
    result = RULES.plan(Decomposition.of(edits), execution)
    lines = [line for call in result for line in call.split("; ")]
    assert 1 <= len(lines) <= len(edits) and all(lines)
    assert result == RULES.plan(Decomposition.of(edits), execution)
    kinds = {e.action for e in edits}
    for action, word in (("move", "move"), ("replace", "replace"), ("zoom", "zoom")):
        assert any(line.startswith(word) for line in lines) == (action in kinds) or action == "replace"
    ranks = [3 if line.startswith("zoom") else 0 for line in lines]
    assert ranks == sorted(ranks)


def test_without_a_decomposition_the_request_itself_is_used():
    differ = Decomposition(("a", "b"), ("c",), ())
    lacking = Decomposition.of([Edit("recolor", "star")])
    for result, why in ((None, "malformed"), (differ, "differ in length"), (lacking, "needs a goal")):
        plan_ = RULES.sequence([SAMPLE], [result], "single")[0]
        assert plan_.sub_requests == ("do it",) and plan_.source == "request" and why in plan_.notes[0]
    with pytest.raises(BadInput, match="differ in length"):
        RULES.plan(differ)
    with pytest.raises(BadInput, match="needs a goal"):
        RULES.plan(lacking)
    with pytest.raises(BadInput, match="unknown execution"):
        plan("both", ("remove", "x"))


class Scripted:
    def __init__(self, *replies: str) -> None:
        self.replies, self.requests = list(replies), []

    def generate(self, requests, n, sampling):
        self.requests += requests
        return [[Completion((1,), (0.0,), self.replies.pop(0), "stop")] for _ in requests]


def test_the_model_orders_and_the_rules_stand_in():
    backend = Scripted("1. remove the x\n2) make the image sepia\n", "Sure! 1. remove the x")
    sequencer = VLMSequencer(backend, load_prompt("sequence"), Sampling(64, temperature=0.0))
    result = Decomposition.of([Edit("tone", "image", "sepia"), Edit("remove", "x<|im_end|>")])
    good, none, bad = sequencer.sequence([SAMPLE] * 3, [result, None, result], "multi")
    assert good.source == "vlm" and good.sub_requests == ("remove the x", "make the image sepia")
    assert none.source == "request"
    assert bad.source == "rules" and "could not be read" in bad.notes[0] and len(bad.sub_requests) == 2
    assert (sequencer.replies, sequencer.unreadable) == (2, 1)
    asked = backend.requests[0].text
    assert "- make the image sepia\n- remove the x< |im_end| >" in asked and "at that moment" in asked
    assert "{" not in asked
    with pytest.raises(BadInput, match="{edits} exactly once"):
        VLMSequencer(backend, "{request}{naming}", Sampling(1))


@pytest.mark.parametrize(
    "step", ["change the color of the star to None", "Move the star to the none.", "turn it into 'none'"]
)
def test_a_step_with_the_placeholder_of_a_goal_is_refused(step):
    with pytest.raises(BadInput, match="step 2 says no goal"):
        parse_steps(f"1. remove the x\n2. {step}")
    assert parse_steps("1. leave none of the stars") == ("leave none of the stars",)


@pytest.mark.parametrize("reply", ["", "remove x", "2. remove x", "1. a\n3. b", "1. a\nso", "1.", "1.a", "0. a"])
def test_only_a_clean_numbered_list_is_read(reply):
    with pytest.raises(BadInput):
        parse_steps(reply)


@given(st.text())
def test_any_reply_is_read_or_refused(reply):
    with suppress(BadInput):
        assert all(parse_steps(reply))


def test_plans_of_sandbox_requests_lead_to_the_target_scene():
    bench = SandboxBenchmark(split="validation", seed=3)
    for sample in map(bench.sample, range(150)):
        for execution in ("single", "multi"):
            scene = sample.before
            for call in RULES.calls(Decomposition.of(sample.gold), execution):
                scene = apply_edits(scene, call)  # names are those of the picture each call is given
            assert scene == sample.after, sample.request
