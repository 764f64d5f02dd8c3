"""The sandbox's samples: deterministic, disjoint splits, gold that the world can carry out, enough of them, fast enough."""

from __future__ import annotations

from itertools import chain

import pytest

from agents.plan import parse_decomposition, write_decomposition
from benchmarks.base import ACTIONS, Decomposition
from benchmarks.sandbox import templates as T
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import (
    KINDS,
    SPLITS,
    SandboxBenchmark,
    combination_split,
    make_session,
    scene_split,
)
from benchmarks.sandbox.language import references
from common.errors import BadInput

N = 600
SAMPLES = {split: [SandboxBenchmark(split, seed=3).sample(i) for i in range(N)] for split in SPLITS}


def everything():
    return chain.from_iterable(SAMPLES.values())


def test_a_sample_depends_on_split_seed_and_index_alone():
    again = SandboxBenchmark("test", seed=3)
    assert [again.sample(i) for i in (5, 0, 17)] == [SAMPLES["test"][i] for i in (5, 0, 17)]
    assert again.sample(4).before == SAMPLES["test"][4].before
    assert SandboxBenchmark("test", seed=4).sample(0) != SAMPLES["test"][0]


def test_gold_is_what_the_world_does():
    for sample in everything():
        assert apply_edits(sample.before, sample.gold) == sample.after
        assert sample.after != sample.before
        assert 1 <= len(sample.gold) <= 5
        assert all(e.action in ACTIONS for e in sample.gold)


def test_gold_can_be_written_and_read_back():
    for sample in everything():
        written = write_decomposition(Decomposition.of(sample.gold))
        assert parse_decomposition(written).edits == sample.gold


def test_every_kind_action_and_length_occurs():
    for samples in SAMPLES.values():
        assert {s.kind for s in samples} == set(KINDS)
        assert {e.action for s in samples for e in s.gold} == set(ACTIONS)
        assert {len(s.gold) for s in samples} == {1, 2, 3, 4, 5}


def test_splits_share_no_scene():
    for split, samples in SAMPLES.items():
        assert {scene_split(s.before) for s in samples} == {split}


def combinations(sample):
    things = {t.name: t for t in sample.before.things}
    return {
        combination_split(e.action, things[e.subject]) for e in sample.gold if e.subject in things and e.action != "add"
    }


def test_some_combinations_appear_in_test_alone():
    owners = {split: set().union(*(combinations(s) for s in samples)) for split, samples in SAMPLES.items()}
    assert owners["train"] == {"train"}
    assert owners["validation"] == {"train", "validation"}
    assert owners["test"] == {"train", "test"}


def test_marked_wordings_appear_in_test_alone():
    marked = [t.removeprefix("!") for ts in T.CLAUSES.values() for t in ts if t.startswith("!") and "{" not in t]
    said = {split: " ".join(s.request.lower() for s in samples) for split, samples in SAMPLES.items()}
    assert marked
    assert not any(t in said["train"] or t in said["validation"] for t in marked)
    assert any(t in said["test"] for t in marked)


def test_part_of_the_wordings_is_a_part():
    few = SandboxBenchmark("train", 3, wordings=0.3)
    assert "substitute" not in " ".join(few.sample(i).request for i in range(300))
    assert "substitute" in " ".join(s.request for s in SAMPLES["train"])


def test_no_clause_is_left_unfilled():
    for sample in everything():
        assert "{" not in sample.request and "!!!" not in sample.request
        assert sample.request.strip() == sample.request


def test_a_reference_fits_one_thing_only():
    for sample in SAMPLES["train"][:200]:
        said = [ref for thing in sample.before.things for ref in references(sample.before, thing)]
        assert len(said) == len(set(said))


def test_thousands_of_samples_hardly_repeat():
    """10^6 distinct samples are asked for: among n draws of a space of size S about n^2/2S collide."""
    requests = [SandboxBenchmark("train", 9).sample(i) for i in range(3000)]
    distinct = len({(s.request, s.before) for s in requests})
    assert distinct == 3000  # a space of 10^6 would show about 4 collisions


def test_sessions_chain_and_use_rules_and_pronouns():
    rules = pronouns = 0
    for i in range(120):
        session = make_session("train", 3, i)
        assert len(session.turns) == 3
        for earlier, later in zip(session.turns, session.turns[1:], strict=False):
            assert later.before == earlier.after
            assert later.history == (*earlier.history, earlier.request)
        for turn in session.turns:
            plain = apply_edits(turn.before, turn.gold)
            assert turn.rule is not None or plain == turn.after
            pronouns += " it " in f" {turn.request} "
        rules += session.rule is not None
        assert (session.rule is not None) == (session.turns[0].kind == "cm")
    assert 30 < rules < 90 and pronouns > 40


def test_a_rule_changes_what_is_touched_and_nothing_else():
    for i in range(200):
        session = make_session("train", 3, i)
        for turn in session.turns:
            if turn.rule is None:
                continue
            plain = apply_edits(turn.before, turn.gold)
            differing = [(a, b) for a, b in zip(plain.things, turn.after.things, strict=True) if a != b]
            assert len(differing) <= 1
            for _, touched in differing:
                assert touched not in turn.before.things
                assert turn.rule.goal in (touched.colour, touched.material)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"split": "tset"}, "tset"), ({"kinds": ("direkt",)}, "direkt"), ({"max_edits": 9}, "1..5")],
)
def test_bad_arguments_are_named(arguments, said):
    with pytest.raises(BadInput, match=said):
        SandboxBenchmark(**arguments)
