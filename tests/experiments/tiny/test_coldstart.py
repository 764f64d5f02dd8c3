"""What the supervised start is made of."""

from __future__ import annotations

from random import Random

from agents.plan import parse_decomposition
from agents.prompt_files import load_prompt
from benchmarks.sandbox import templates as T
from benchmarks.sandbox.corpus import open_turn
from benchmarks.sandbox.generate import SandboxSample
from experiments.tiny.coldstart import ColdStart, ColdStartMix, corpus
from experiments.tiny.thoughts import DESCRIBE, brief_thought

START = ColdStart(load_prompt("decompose_tiny"), ColdStartMix())


def test_examples_depend_on_the_step_alone():
    again = ColdStart(load_prompt("decompose_tiny"), ColdStartMix())
    assert [(e.request.text, e.answer) for e in again.batch(7, 8)] == [
        (e.request.text, e.answer) for e in START.batch(7, 8)
    ]


def test_every_answer_is_a_decomposition_or_a_description():
    for example in START.batch(0, 400):
        if example.request.text.endswith(DESCRIBE):
            assert example.answer.startswith("seen: ")
        else:
            assert parse_decomposition(example.answer).edits


def test_the_start_has_not_seen_the_later_wordings():
    """GRPO has something to learn: the last wordings of every list are not in the start."""
    said = "\n".join(START.sample(i).request for i in range(1500) if isinstance(START.sample(i), SandboxSample))
    allowed = [t for t in T.CLAUSES["background"] if not t.startswith("!")]
    assert allowed[0].split("{")[0] in said
    assert "for a backdrop" in allowed[-1] and "for a backdrop" not in said


def test_open_turns_copy_names_from_request_or_history():
    """Every subject can be read off what was said: its head noun always, the whole name unless it was changed on the way."""
    for i in range(400):
        turn = open_turn(Random(i))
        said = " ".join((*turn.history, turn.request)).lower()
        for edit in turn.gold:
            if edit.subject not in ("image", "background"):
                assert edit.subject.split()[-1] in said, turn


def test_a_thought_lists_the_picture_only_where_it_is_needed():
    indirect = next(s for s in (START.sandbox.sample(i) for i in range(200)) if s.kind == "indirect")
    direct = next(s for s in (START.sandbox.sample(i) for i in range(200)) if s.kind == "direct")
    assert all(t.phrase in brief_thought(indirect) for t in indirect.before.things)
    assert "seen" not in brief_thought(direct)


def test_corpus_holds_requests_and_answers():
    texts = list(corpus(START, 50))
    assert any("<action>" in t for t in texts) and len(texts) == 160
