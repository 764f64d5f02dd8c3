"""The rule of goals: every action has one, every source of gold keeps it, and the prompts say the same."""

from __future__ import annotations

import os
import re
from pathlib import Path
from random import Random

import pytest

from agents.decomposer import build_request
from agents.plan import parse_decomposition, write_decomposition
from agents.prompt_files import load_prompt
from benchmarks.base import ACTIONS, Decomposition, Edit, EditSample, explicit_instruction, says_no_goal
from benchmarks.goals import GOAL_OF, Goal, fault, fault_of, goal_of, goal_sentence
from benchmarks.labels import BY_DATA, RECORDS, Labelled
from benchmarks.mice import MiceText
from benchmarks.mice_records import ENV
from benchmarks.prepared import PreparedBenchmark
from benchmarks.sandbox.corpus import open_turn
from benchmarks.sandbox.generate import SandboxBenchmark, random_text
from common.errors import BadData, BadInput
from experiments.tiny.coldstart import SECOND_PART, ColdStart, ColdStartMix
from judges.labelling import question


def test_every_action_has_a_rule() -> None:
    assert set(GOAL_OF) == set(ACTIONS)
    assert goal_of("remove") is Goal.ABSENT and goal_of("add") is Goal.OPTIONAL
    assert {a for a, goal in GOAL_OF.items() if goal is Goal.NEEDED} == set(ACTIONS) - {"add", "remove"}
    assert goal_of("sharpen") is Goal.OPTIONAL  # a word of another vocabulary
    assert goal_of("The  RECOLOR!") is Goal.NEEDED  # rewards take it for recolor too


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("goal", [None, "", "none", "NONE", "N/A", "-", "red"])
def test_what_can_be_carried_out(action: str, goal: str | None) -> None:
    rule, absent = GOAL_OF[action], goal != "red"
    fits = rule is Goal.OPTIONAL or (rule is Goal.ABSENT) == absent
    edit = Edit(action, "star", goal)
    assert (not fault([edit])) == (not fault_of(Decomposition.of([edit]))) == fits


ABSENT = (
    "",
    " ",
    "none",
    "None.",
    "(NONE)",
    "null",
    "Nil",
    "n/a",
    "N/A.",
    "n / a",
    "n.a.",
    "-",
    "--",
    " \u2014 ",
    "not applicable",
    "No goal",
)
REAL = (
    "NA",
    "a",
    "n",
    "no",
    "0",
    "-3",
    "nothing",
    "none of them",
    "nail",
    "top left",
    "null island",
    "!",
    "X-Y",
    "and/or",
)


def test_placeholders_are_no_goals_and_other_words_are() -> None:
    assert [g for g in ABSENT if not says_no_goal(g)] == []
    assert [g for g in REAL if says_no_goal(g)] == []
    for action in ACTIONS:  # the reader, the writer and the rule agree
        for goal in ABSENT[2:]:
            text = f"<think></think><action>{action}</action><subject>star</subject><goal>{goal}</goal>"
            if GOAL_OF[action] is Goal.NEEDED:
                with pytest.raises(BadInput, match="needs a goal"):
                    parse_decomposition(text)
            else:
                assert parse_decomposition(text).edits == (Edit(action, "star"),)
    with pytest.raises(BadInput, match="stands for an absent goal"):
        write_decomposition(Decomposition.of([Edit("add", "star", "n/a")]))


def test_no_text_of_the_sandbox_reads_as_an_absent_goal() -> None:
    class Chosen(Random):
        """Draws these letters first."""

        letters = list("NILNULLNONEAB7")

        def choice(self, seq):
            return self.letters.pop(0)

        def randint(self, a, b):
            return {14: 3, 11: 4, 7: 4}.get(len(self.letters), 3)

    assert random_text(Chosen(), 8) == "AB7"


@pytest.mark.parametrize("action", [*ACTIONS, "sharpen"])
@pytest.mark.parametrize("subject", ["star", "image", "background"])
@pytest.mark.parametrize("goal", [None, *ABSENT])
def test_no_instruction_says_none(action: str, subject: str, goal: str | None) -> None:
    text = explicit_instruction(Edit(action, subject, goal))
    assert text == explicit_instruction(Edit(action, subject)) and "none" not in text.casefold()
    assert text == " ".join(text.split()) and not re.search(r"\b(to|to the|with a|on the|on|at)$", text)


def test_the_sentences_without_a_goal() -> None:
    said = {a: explicit_instruction(Edit(a, "star")) for a in ("recolor", "move", "replace", "add", "remove", "count")}
    assert said == {
        "recolor": "change the color of the star",
        "move": "move the star",
        "replace": "replace the star",
        "add": "add a star",
        "remove": "remove the star",
        "count": "change the count of the star",
    }


def test_gold_of_the_sandbox_can_be_carried_out() -> None:
    for split in ("train", "test"):
        bench = SandboxBenchmark(split, seed=4)
        assert not any(fault(bench.sample(i).gold) for i in range(150))
        assert not any(fault(turn.gold) for i in range(20) for turn in bench.session(i).turns)


@pytest.mark.parametrize("mix", [ColdStartMix(), SECOND_PART])
def test_targets_of_the_supervised_start_can_be_carried_out(mix: ColdStartMix) -> None:
    start = ColdStart("{history}{request}", mix, seed=2)
    assert not any(fault(start.sample(i).gold) for i in range(150))
    assert not any(fault(open_turn(Random(i)).gold) for i in range(300))


@pytest.mark.skipif(not os.environ.get(ENV), reason=f"{ENV} is not set")
def test_gold_of_mice_can_be_carried_out() -> None:
    mice = MiceText()
    assert len(mice) == 7945 and not any(fault(s.gold) for s in mice)


def test_prepared_records_that_cannot_be_carried_out_are_counted_and_left_out(tmp_path: Path) -> None:
    def line(number: int, edit: Edit) -> str:
        return Labelled(f"p-{number}", f"request {number}", (edit,), "psr", "x", BY_DATA).to_json() + "\n"

    good = [Edit("Delete", "man"), Edit("Recoloring", "dress", "green"), Edit("Adjust", "contrast")]
    bad = [Edit("Recoloring", "photo"), Edit("Delete", "man", "grass"), Edit("Zoom", "face")]
    (tmp_path / RECORDS).write_text("".join(line(i, e) for i, e in enumerate([*good, *bad])))
    data = PreparedBenchmark(tmp_path, "all")
    assert [item.gold[0].action for item in data] == ["remove", "recolor", "adjust"]
    assert data.left_out == 3 and sum(data.sizes.values()) == 3
    (tmp_path / RECORDS).write_text(line(1, bad[0]))
    with pytest.raises(BadData, match="1 that cannot be carried out"):
        PreparedBenchmark(tmp_path, "all")


def test_the_prompts_say_the_rule() -> None:
    text = build_request(load_prompt("decompose"), EditSample("s", "make it {goals}", ())).text
    assert goal_sentence() in text and text.rstrip().endswith("make it {goals}")
    for action, words in re.findall(r"^- (\w+): .*?goal is (.+)$", text, re.MULTILINE):
        rule = {
            Goal.ABSENT: words == "none",
            Goal.OPTIONAL: words.endswith("or none"),
            Goal.NEEDED: "none" not in words,
        }
        assert rule[goal_of(action)], action
    label = "".join(p for p in question("x").parts if isinstance(p, str))
    assert "Always give a goal for these actions: Replace, Move, Recoloring, Zoom, Relighting." in label
    assert "Always null for: Delete." in label
