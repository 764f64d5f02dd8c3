"""What a turn means by itself leads to the picture that the session means; a mix of edits is kept to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.base import Edit
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SandboxSample, SessionMix, make_session
from benchmarks.sandbox.intents import intent_of, meant_edits
from common.errors import BadInput
from editors.sandbox import SandboxEditor


def turns(split: str, count: int, mix: SessionMix | None = None) -> list[SandboxSample]:
    sessions = [make_session(split, 9, i, 4, mix=mix or SessionMix()) for i in range(count)]
    return [t for s in sessions for t in s.turns if isinstance(t, SandboxSample)]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_meant_edits_lead_to_the_answer(split: str) -> None:
    for turn in turns(split, 60):
        assert apply_edits(turn.before, meant_edits(turn)) == turn.after, turn.request


def test_their_words_are_carried_out_exactly() -> None:
    own = turns("train", 20)
    pictures = SandboxEditor().edit([t.image for t in own], [intent_of(t) for t in own], [0] * len(own))
    assert [p.tobytes() for p in pictures] == [t.target.tobytes() for t in own]


def test_a_rule_is_applied_where_it_changes_something() -> None:
    ruled = [t for t in turns("train", 60) if t.rule is not None]
    changed = [t for t in ruled if meant_edits(t) != t.gold]
    assert len(changed) > len(ruled) / 3
    for turn in changed:
        (edit,) = turn.gold
        assert turn.rule is not None and edit.action != "remove" and (turn.rule.goal or "") in intent_of(turn)


def test_a_mix_is_kept_to() -> None:
    mix = SessionMix({"recolor": 3, "remove": 1}, {"recolor": 1})
    own = turns("test", 40, mix)
    assert {t.gold[0].action for t in own} == {"recolor", "remove"}
    assert {t.rule.action for t in own if t.rule is not None} == {"recolor"}
    assert sum(t.gold[0].action == "recolor" for t in own) > len(own) / 2


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"actions": {"paint": 1}}, "no action 'paint'"),
        ({"actions": {"recolor": 0}}, "all 0"),
        ({"actions": {"add": 1}}, 'with "it"'),
        ({"rules": {"remove": 1}}, "no rule 'remove'"),
    ],
)
def test_mixes_that_cannot_work_are_refused(weights: dict, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        SessionMix(**weights)


def test_several_edits_under_a_rule_have_no_meaning_here() -> None:
    turn = next(t for t in turns("train", 60) if t.rule is not None and meant_edits(t) != t.gold)
    several = replace(turn, gold=(*turn.gold, Edit("background", "background", "sky")))
    with pytest.raises(BadInput, match="2 edits under a lasting rule"):
        meant_edits(several)
