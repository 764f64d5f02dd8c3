"""Tricks to earn reward without the right answer, and what each earns: always less than the honest answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.plan import write_decomposition
from benchmarks.base import ACTIONS, Decomposition, Edit
from rewards.compose import VARIANTS, RewardSpec

RED, BLUE, GONE = Edit("recolor", "star", "red"), Edit("recolor", "moon", "blue"), Edit("remove", "tree")
PAGE = Path(__file__).parents[2] / "docs" / "reward.md"


def text(actions: str, subjects: str, goals: str, think: str = "") -> str:
    return f"<think>{think}</think><action>{actions}</action><subject>{subjects}</subject><goal>{goals}</goal>"


# what is tried, gold, answer, the reward f1_goal of it
TRICKS: tuple[tuple[str, tuple[Edit, ...], str, float], ...] = (
    ("an empty list of goals", (GONE,), text("remove", "tree", ""), 0),
    ("nine `none` for one edit", (GONE,), text("remove", "tree", "; ".join(["none"] * 9)), 0),
    ("two recolours, one goal", (RED, BLUE), text("recolor; recolor", "star; moon", "red"), 0),
    ("two recolours, three goals", (RED, BLUE), text("recolor; recolor", "star; moon", "red; blue; none"), 0),
    ("one action for two subjects", (RED, RED), text("recolor", "star; star", "red; red"), 0),
    ("a goal that the action needs is `none`", (RED,), text("recolor", "star", "none"), 0),
    ("… written `None.`", (RED,), text("recolor", "star", "None."), 0),
    ("… written `n/a`", (RED,), text("recolor", "star", "n/a"), 0),
    ("… written `-`", (RED,), text("recolor", "star", "-"), 0),
    ("… under an action in disguise", (RED,), text("The Recolor!", "star", "none"), 0),
    ("a goal for an action that has none", (GONE,), text("remove", "tree", "grass"), 0),
    ("goals of two kinds of edit swapped", (RED, GONE), text("recolor; remove", "star; tree", "none; red"), 0),
    ("goals of two recolours swapped", (RED, BLUE), text("recolor; recolor", "star; moon", "blue; red"), 0.7),
    ("subjects of two kinds of edit swapped", (RED, GONE), text("recolor; remove", "tree; star", "red; none"), 0.7),
    ("actions of two kinds of edit swapped", (RED, GONE), text("remove; recolor", "star; tree", "none; red"), 0.7),
    ("two items in one", (RED, BLUE), text("recolor", "star and moon", "red and blue"), 0.3),
    ("everything twice", (RED,), text("recolor; recolor", "star; star", "red; red"), 0.7),
    ("an edit more", (RED,), text("recolor; remove", "star; tree", "red; none"), 0.8),
    ("an edit less", (RED, GONE), text("recolor", "star", "red"), 0.8),
    (
        "every action there is",
        (GONE,),
        text("; ".join(ACTIONS), "; ".join(["tree"] * 12), "; ".join("none" if a in ("add", "remove") else "x" for a in ACTIONS)),
        0.1 + 0.6 * 2 / 13,
    ),
    ("the answer twice", (GONE,), text("remove", "tree", "none") * 2, 0),
    ("the answer within the thought", (GONE,), text("add", "x", "y", "remove; tree; none"), 0.1),
    ("no edit at all", (GONE,), text("", "", ""), 0),
)  # fmt: skip
FULL_BY_DESIGN = ("format_only",)  # it pays for the form alone
BLIND_TO_GOALS = ("f1",)  # it looks at no goals, so a well-formed answer with a wrong goal is as good


@pytest.mark.parametrize("trick", TRICKS, ids=[t[0] for t in TRICKS])
@pytest.mark.parametrize("variant", [v for v in VARIANTS if v not in FULL_BY_DESIGN])
def test_no_trick_earns_what_the_honest_answer_earns(variant: str, trick: tuple) -> None:
    _, gold, answer, _ = trick
    spec = RewardSpec.named(variant)
    honest = spec.score(write_decomposition(Decomposition.of(gold)), gold, outcome=1.0).total
    # an editor carries out what is asked for, so the picture of a wrong plan is worth less
    tried = spec.score(answer, gold, outcome=0.9).total
    assert honest == 1.0 and tried is not None
    if variant in BLIND_TO_GOALS and trick[0] == "goals of two recolours swapped":
        assert tried == 1.0
    else:
        assert tried < honest


@pytest.mark.parametrize("trick", TRICKS, ids=[t[0] for t in TRICKS])
def test_what_each_earns(trick: tuple) -> None:
    name, gold, answer, earns = trick
    reward = RewardSpec.named("f1_goal").score(answer, gold)
    assert reward.total == pytest.approx(earns, abs=1e-9)
    if earns == 0:  # malformed: nothing for any component, whatever the weights
        assert set(reward.components.values()) == {0.0}
    told = re.search(rf"^\| {re.escape(name)} \| ([\d.]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert told is not None and float(told[1]) == round(earns, 2)
