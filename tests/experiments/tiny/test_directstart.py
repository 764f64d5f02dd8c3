"""What the start for reinforcement learning is made of, and what it must never show."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

from transformers import AutoTokenizer

from agents.plan import parse_decomposition
from agents.prompt_files import load_prompt
from benchmarks.base import GLOBAL_ACTIONS
from benchmarks.sandbox import templates as T
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.language import references
from experiments.tiny.directstart import GUESSED, DirectMix, DirectStart, guess, nonsense, open_request, perception
from experiments.tiny.thoughts import DESCRIBE, entry, scene_thought, seen_with_places

TINY = Path(__file__).parents[3] / "assets" / "tiny" / "decomposer"
START = DirectStart(load_prompt("decompose_tiny"), DirectMix())
EXAMPLES = [START.example(i) for i in range(1500)]
REQUESTS = [e.request.text.lower() for e in EXAMPLES]


def test_examples_depend_on_the_step_alone() -> None:
    again = DirectStart(load_prompt("decompose_tiny"), DirectMix())
    shown = [(e.request.text, e.answer) for e in again.batch(7, 8)]
    assert shown == [(e.request.text, e.answer) for e in START.batch(7, 8)]


def test_every_answer_is_a_decomposition_or_says_what_is_seen() -> None:
    plain = 0
    for example in EXAMPLES:
        if example.request.text.endswith("?") and "<action>" not in example.answer:
            plain += 1
        else:
            assert parse_decomposition(example.answer).edits
    assert 0.1 < plain / len(EXAMPLES) < 0.3


def test_no_request_is_indirect_or_depends_on_an_earlier_edit() -> None:
    """No reference by a property, no pronoun, no wish, no dependency."""
    scene_words = {
        option.split("'")[0].strip()
        for i in range(200)
        for scene in [SandboxBenchmark("train", 9).sample(i).before]
        for thing in scene.things
        for option in references(scene, thing)
    }
    assert {"the biggest thing", "the thing on the far left", "the group", "the one that says"} <= scene_words
    never = [
        *scene_words,
        "match the",
        "the same",
        "like the",
        "pattern of the",
        "each other",
        " after this",
        "all the ",
        "too bright",
        "too dark",
    ]
    never += [w.lstrip("!").split("{s}")[-1].strip() for w in T.DISLIKE if "{s}" in w and not w.endswith("{s}")]
    for request in REQUESTS:
        for phrase in never:
            found = re.search(rf"{re.escape(phrase)}(?= |$|[.,;!])", request)
            allowed = phrase.startswith("the ") and found and re.match(r" \w", request[found.end() :])
            assert not found or allowed, (phrase, request)


def test_the_later_wordings_are_left_out() -> None:
    said = "\n".join(REQUESTS)
    kept = [t for t in T.CLAUSES["background"] if not t.startswith("!")]
    assert kept[0].split("{")[0] in said and "for a backdrop" in kept[-1] and "for a backdrop" not in said


def test_the_thought_tells_everything_that_a_reference_may_need() -> None:
    sample = next(
        s for s in map(SandboxBenchmark("train", 3).sample, range(300)) if any(t.label for t in s.before.things)
    )
    for thing in sample.before.things:
        said = entry(thing)
        assert said in scene_thought(sample) and thing.name in said
        assert (thing.size in said) == (thing.size != "medium") and ("with text" in said) == bool(thing.label)
        assert str(thing.count) in said or thing.count == 1


def test_a_guess_is_any_thing_of_the_picture_and_nothing_else_changes() -> None:
    """Over many draws every thing is the answer about equally often, so the start has no preference."""
    bench = SandboxBenchmark("train", 11, kinds={"direct": 1.0}, lengths=(1, 0, 0, 0, 0))
    sample = next(
        s for s in map(bench.sample, range(500)) if s.gold[0].action == "remove" and len(s.before.things) == 4
    )
    names = [t.name for t in sample.before.things]
    drawn = [guess(Random(i), sample) for i in range(800)]
    for name in names:
        share = sum(d.gold[0].subject == name for d in drawn) / len(drawn)
        assert abs(share - 0.25) < 0.06
    assert all(d.gold[0].action == "remove" and d.gold[0].goal is None for d in drawn)
    assert all(sample.gold[0].subject not in d.request for d in drawn)


def test_a_guess_keeps_the_other_subjects_apart() -> None:
    for i, sample in enumerate(map(START.sandbox.sample, range(300))):
        guessed = guess(Random(i), sample)
        subjects = [e.subject for e in guessed.gold if e.subject in {t.name for t in sample.before.things}]
        before = [e.subject for e in sample.gold if e.subject in {t.name for t in sample.before.things}]
        if len(set(before)) == len(before):
            assert len(set(subjects)) == len(subjects)


def test_nonsense_is_answered_with_any_edit_of_the_picture() -> None:
    """Every action that needs no new thing and no text comes about equally often, and the words tell nothing about it."""
    drawn = [s for s in map(nonsense, map(Random, range(3000))) if len(s.gold) == 1]
    actions = Counter(s.gold[0].action for s in drawn)
    assert set(actions) == set(GUESSED)
    names = {t.name for s in drawn for t in s.before.things}
    for sample in drawn:
        edit = sample.gold[0]
        assert edit.subject not in sample.request and not any(n in sample.request for n in names)
        assert edit.action in GLOBAL_ACTIONS or edit.subject in {t.name for t in sample.before.things}
    assert all(abs(n / len(drawn) - 1 / len(GUESSED)) < 0.04 for n in actions.values())


def test_perception_is_true_of_the_picture() -> None:
    for i in range(200):
        sample = START.sandbox.sample(i)
        assert isinstance(sample, SandboxSample)
        question, answer = perception(Random(i), sample)
        if question == DESCRIBE:
            assert answer == seen_with_places(sample)
        else:
            assert answer == "nothing" or any(answer == entry(t) for t in sample.before.things)


def test_open_requests_say_everything_they_want() -> None:
    for i in range(300):
        sample = open_request(Random(i))
        for edit in sample.gold:
            if edit.subject not in ("image", "background"):
                assert edit.subject in sample.request
            if edit.goal is not None and edit.action not in ("move", "add"):
                assert edit.goal in sample.request


def test_an_answer_fits_into_the_tokens_of_an_answer() -> None:
    """Only the longest of 1,500 answers may be cut: five edits in a picture full of things."""
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    lengths = sorted(len(tokenizer(e.answer)["input_ids"]) + 1 for e in EXAMPLES)
    assert lengths[-1] <= 160
