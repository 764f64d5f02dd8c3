"""Known answers for the exact judge of sessions."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image

from benchmarks.base import Edit, EditSample, EditSession
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import make_session
from benchmarks.sandbox.render import object_mask
from benchmarks.sandbox.scene import COLOURS, Scene, Thing
from judges.base import Verdict
from judges.sessions.base import CC, GA, IF, PlayedSession, SessionJudge
from judges.sessions.sandbox import SandboxSessionJudge
from tests.judges.sessions.plays import (
    as_meant,
    by_hand,
    noisy,
    perfect,
    picture,
    played,
    samples,
    sessions,
    tinted,
    without_rule,
)

JUDGE: SessionJudge = SandboxSessionJudge()
STAR, CIRCLE = Thing("star", "blue", (0, 0), size="large"), Thing("circle", "red", (1, 1), size="large")
HOUSE, TREE = Thing("house", "green", (2, 0), size="large"), Thing("tree", "brown", (2, 2), size="large")
SCENE = Scene("white", (STAR, CIRCLE, HOUSE, TREE))
BLUE = Edit("recolor", "", "blue")
NOISE = noisy(Image.new("RGB", (64, 64), (128, 128, 128)), 80)


def judge(one: PlayedSession) -> list[Verdict]:
    verdicts = JUDGE.judge_sessions([one])[0]
    assert len(verdicts) == len(one.pictures) and all(v.valid for v in verdicts), verdicts
    return verdicts


def scores(name: str, one: PlayedSession) -> list[float]:
    return [v.scores[name] for v in judge(one)]


def hand(golds: list[Edit], results: list[Scene | Image.Image], rule: Edit | None = None) -> PlayedSession:
    shown = tuple(r if isinstance(r, Image.Image) else picture(r) for r in results)
    return PlayedSession(by_hand(SCENE, golds, rule), picture(SCENE), shown)


def assert_perfect(split: str, turns: int, count: int) -> None:
    given = [make_session(split, 1, i, turns) for i in range(count)]
    for session, verdicts in zip(given, JUDGE.judge_sessions([perfect(s) for s in given]), strict=True):
        for verdict in verdicts:
            assert verdict.valid and verdict.scores[IF] == verdict.scores[GA] == 1, (session.id, verdict)
            assert verdict.scores.get(CC, 1) == 1 and verdict.raw["if_credit"] == 1 and not verdict.reason


# ----------------------------------------------------------------------------------------- played well, and not at all
@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("turns", [3, 5])
def test_perfect_play_gets_everything(split: str, turns: int) -> None:
    assert_perfect(split, turns, 10)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("turns", [3, 5])
def test_perfect_play_of_hundreds_of_sessions_gets_everything(split: str, turns: int) -> None:
    assert_perfect(split, turns, 200)


def test_doing_nothing_keeps_everything_and_follows_nothing() -> None:
    idle = []
    for i in range(24):
        session = make_session("test", 2, i, 3)
        first = samples(session)[0]
        # a turn may ask for what the first picture shows already (back to plain): then there is nothing to do
        if not any(t.after.things and set(t.after.things) <= set(first.before.things) for t in samples(session)):
            idle.append(PlayedSession(session, first.image, (first.image,) * 3))
    assert len(idle) > 15
    for one, verdicts in zip(idle, JUDGE.judge_sessions(idle), strict=True):
        for verdict in verdicts:
            assert verdict.scores == {IF: 0, CC: 1, GA: 0}, (one.session.id, verdict)


# ------------------------------------------------------------------------------------------------ what the session means
def test_a_wrong_pronoun_target_is_not_followed() -> None:
    wrong = 0
    for session in sessions("cu", 20):
        for k, turn in enumerate(samples(session)):
            others = [t for t in turn.before.things if t.name not in (turn.gold[0].subject, turn.gold[0].goal)]
            if k == 0 or turn.gold[0].action not in ("recolor", "material", "remove") or not others:
                continue
            mistaken = picture(apply_edits(turn.before, [replace(turn.gold[0], subject=others[0].name)]))
            pictures = tuple(t.target for t in samples(session)[:k])
            verdict = judge(PlayedSession(session, samples(session)[0].image, (*pictures, mistaken)))[-1]
            assert verdict.scores[IF] == verdict.scores[GA] == 0, (turn.id, verdict)
            wrong += 1
    assert wrong >= 8


def test_ignoring_the_rule_follows_the_turn_and_not_the_session() -> None:
    ignored = 0
    for session in sessions("cm", 20):
        one = played(session, without_rule)
        if one is None or one.pictures[0] == samples(session)[0].target:  # nothing there for the rule to change
            continue
        verdicts = judge(one)
        assert [v.scores[GA] for v in verdicts] == [0, 0, 0]
        assert [v.scores[IF] for v in verdicts] == [1, 1, 1]
        assert "the rule was not applied" in verdicts[0].reason
        ignored += 1
    assert ignored >= 8


def test_a_failed_turn_ends_global_awareness_but_not_following() -> None:
    failed = 0
    for session in sessions("cu", 12) + sessions("cm", 12):
        one = played(session, lambda scene, turn, k: scene if k == 0 else as_meant(scene, turn))
        if one is None or samples(session)[0].after == samples(session)[0].before:
            continue
        verdicts = judge(one)
        assert [v.scores[GA] for v in verdicts] == [0, 0, 0]
        assert [v.scores[IF] for v in verdicts] == [0, 1, 1]
        assert [v.raw["as_meant"] for v in verdicts] == [False, True, True]
        failed += 1
    assert failed >= 8


def test_removals_are_exempt_from_the_rule() -> None:
    golds = [Edit("remove", "blue star"), Edit("add", "yellow heart", "top right")]
    one = hand(
        golds,
        [gone := apply_edits(SCENE, golds[:1]), apply_edits(gone, [Edit("add", "blue heart", "top right")])],
        BLUE,
    )
    assert scores(GA, one) == scores(IF, one) == [1, 1]


def test_the_rule_is_for_the_touched_thing_alone() -> None:
    golds = [Edit("recolor", "red circle", "purple")]
    meant = apply_edits(SCENE, [Edit("recolor", "red circle", "blue")])
    everywhere = apply_edits(meant, [Edit("recolor", "green house", "blue")])
    assert scores(GA, hand(golds, [meant], BLUE)) == [1]
    (verdict,) = judge(hand(golds, [everywhere], BLUE))
    assert verdict.scores[IF] == 1 and verdict.scores[GA] == 0 and "green house" in verdict.reason


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_a_global_tint_is_no_rule_applied(share: float) -> None:
    golds = [Edit("material", "red circle", "striped")]
    done = apply_edits(SCENE, golds)
    (tint,) = judge(hand(golds, [tinted(picture(done), COLOURS["blue"], share)], BLUE))
    assert tint.scores[GA] == 0 and tint.scores[CC] < 0.5
    local = apply_edits(done, [Edit("recolor", "red circle", "blue")])
    (both,) = judge(hand(golds, [tinted(picture(local), COLOURS["blue"], share)], BLUE))
    assert both.scores[GA] == 0


# ------------------------------------------------------------------------------------------------- following, by hand
@pytest.mark.parametrize("gold, result", [
    (Edit("add", "yellow heart", "top right"), Edit("add", "yellow square", "top right")),
    (Edit("add", "yellow heart", "top right"), Edit("add", "pink heart", "top right")),
    (Edit("add", "yellow heart", "top right"), Edit("add", "yellow heart", "middle right")),
    (Edit("add", "small yellow heart", "top right"), Edit("add", "large yellow heart", "top right")),
    (Edit("add", "dotted yellow heart", "top right"), Edit("add", "striped yellow heart", "top right")),
    (Edit("replace", "red circle", "yellow moon"), Edit("replace", "red circle", "yellow ring")),
    (Edit("count", "red circle", "4"), Edit("count", "red circle", "5")),
    (Edit("material", "red circle", "dotted"), Edit("material", "red circle", "checkered")),
    (Edit("move", "red circle", "top right"), Edit("add", "large red circle", "top right")),
    (Edit("move", "red circle", "top right"), Edit("remove", "red circle")),
    (Edit("text", "red circle", "AB"), Edit("text", "red circle", "XY")),
    (Edit("background", "background", "sea"), Edit("background", "background", "snow")),
], ids=lambda e: f"{e.action}-{e.goal}")  # fmt: skip
def test_nearly_right_is_not_done(gold: Edit, result: Edit) -> None:
    assert scores(IF, hand([gold], [apply_edits(SCENE, [gold])])) == [1]
    (verdict,) = judge(hand([gold], [apply_edits(SCENE, [result])]))
    assert verdict.scores[IF] == verdict.scores[GA] == 0 and verdict.raw["if_credit"] < 1 and verdict.reason


def test_any_place_that_the_turn_leaves_open_is_right() -> None:
    gold = Edit("add", "yellow heart")
    for place in ("top right", "bottom center", "middle left"):
        result = apply_edits(SCENE, [Edit("add", "yellow heart", place)])
        for name in (IF, CC, GA):
            assert scores(name, hand([gold, Edit("remove", "yellow heart")], [result, SCENE])) == [1, 1]


def test_a_turn_is_judged_from_the_picture_before_it() -> None:
    golds = [Edit("recolor", "blue star", "pink"), Edit("recolor", "red circle", "yellow")]
    damaged = apply_edits(SCENE, [Edit("background", "background", "sea"), Edit("remove", "green house")])
    one = hand(golds, [damaged, apply_edits(damaged, golds[1:])])
    assert scores(IF, one) == [0, 1] and scores(GA, one) == [0, 0]


def test_an_edit_whose_object_is_gone_is_not_done() -> None:
    golds = [Edit("recolor", "blue star", "pink"), Edit("recolor", "red circle", "yellow")]
    lost = apply_edits(SCENE, [golds[0], Edit("remove", "red circle")])
    verdicts = judge(hand(golds, [lost, lost]))
    assert [v.scores[IF] for v in verdicts] == [1, 0] and "impossible" in verdicts[1].reason
    assert verdicts[1].raw["if_credit"] == 0
    verdicts = judge(hand(golds, [NOISE, apply_edits(SCENE, golds)]))
    assert [v.scores[IF] for v in verdicts] == [0, 0] and "no sandbox scene" in verdicts[1].reason


# ----------------------------------------------------------------------------------------------------- consistency
def test_things_that_turns_touch_are_not_looked_at_and_all_others_are() -> None:
    golds = [Edit("recolor", "blue star", "pink"), Edit("remove", "pink star"), Edit("move", "red circle", "top left")]
    one = apply_edits(SCENE, golds[:1])
    two = apply_edits(one, golds[1:2])
    three = apply_edits(two, golds[2:])
    verdicts = judge(hand(golds, [one, two, three]))
    assert [sorted(v.raw["things_kept"]) for v in verdicts] == [
        ["brown tree", "green house", "red circle"],
        ["brown tree", "green house", "red circle"],
        ["brown tree", "green house"],
    ]
    assert [v.scores[CC] for v in verdicts] == [1, 1, 1]
    without = [apply_edits(s, [Edit("remove", "brown tree")]) for s in (one, two, three)]
    assert all(v < 0.8 for v in scores(CC, hand(golds, list(without))))


def test_a_new_background_is_no_loss_and_a_lost_thing_before_it_is() -> None:
    golds = [Edit("background", "background", "sea")]
    (verdict,) = judge(hand(golds, [apply_edits(SCENE, golds)]))
    assert verdict.scores == {IF: 1, CC: 1, GA: 1} and verdict.raw["background_kept"] is None
    assert scores(CC, hand(golds, [apply_edits(SCENE, [*golds, Edit("remove", "brown tree")])]))[0] < 0.8


def test_nothing_left_to_look_at_has_no_consistency() -> None:
    golds = [Edit("background", "background", "sea"), *(Edit("remove", t.name) for t in SCENE.things)]
    results: list[Scene | Image.Image] = [apply_edits(SCENE, golds[: k + 1]) for k in range(len(golds))]
    verdicts = judge(hand(golds, results))
    assert [CC in v.scores for v in verdicts] == [True] * 4 + [False]
    assert all(v.scores[GA] == 1 for v in verdicts)


def test_consistency_looks_back_to_the_first_picture() -> None:
    """A loss is not forgiven by the turn after it, as it would be against the picture before."""
    golds = [Edit("recolor", "blue star", "pink"), Edit("recolor", "red circle", "yellow")]
    lost = apply_edits(SCENE, [golds[0], Edit("remove", "brown tree")])
    first, second = scores(CC, hand(golds, [lost, apply_edits(lost, golds[1:])]))
    assert first < 0.8 and second < 0.8


def test_noise_lowers_consistency_before_it_hides_an_edit() -> None:
    golds = [Edit("recolor", "blue star", "pink")]
    done = picture(apply_edits(SCENE, golds))
    verdicts = [judge(hand(golds, [noisy(done, sigma)]))[0] for sigma in (0, 10, 40, 90)]
    assert [v.scores[IF] for v in verdicts[:2]] == [1, 1] and verdicts[-1].scores[CC] < 0.5
    credits = [v.raw["if_credit"] for v in verdicts]
    assert credits == sorted(credits, reverse=True) and credits[0] == 1


# ---------------------------------------------------------------------------------------------------------- batches
def test_the_order_of_sessions_does_not_matter() -> None:
    given = [perfect(make_session("test", 4, i, 3)) for i in range(6)]
    given += [replace(one, pictures=one.pictures[::-1]) for one in given]
    alone = [JUDGE.judge_sessions([one])[0] for one in given]
    order = Random(0).sample(range(len(given)), len(given))
    together = JUDGE.judge_sessions([given[i] for i in order])
    assert [together[order.index(i)] for i in range(len(given))] == alone


def test_a_session_that_ended_early_is_judged_as_far_as_it_was_played() -> None:
    one = perfect(make_session("test", 4, 0, 3))
    assert JUDGE.judge_sessions([replace(one, pictures=one.pictures[:2])])[0] == judge(one)[:2]
    assert JUDGE.judge_sessions([replace(one, pictures=())]) == [[]]


def test_a_result_of_another_size_is_resized() -> None:
    one = perfect(make_session("test", 4, 0, 3))
    large = tuple(p.resize((128, 128), Image.Resampling.NEAREST) for p in one.pictures)
    assert judge(replace(one, pictures=large)) == judge(one)


# ---------------------------------------------------------------------------------------------- what cannot be judged
def test_what_cannot_be_judged_is_invalid_and_says_why() -> None:
    one = perfect(make_session("test", 4, 0, 3))
    (verdicts,) = JUDGE.judge_sessions([replace(one, source=NOISE)])
    assert [v.valid for v in verdicts] == [False] * 3 and "no sandbox scene" in verdicts[0].reason
    other = SCENE.with_thing(CIRCLE, None)
    (verdicts,) = JUDGE.judge_sessions([replace(hand([Edit("remove", "red circle")], [SCENE]), source=picture(other))])
    assert not verdicts[0].valid and "red circle" in verdicts[0].reason
    ruled = EditSession("s", (EditSample("s-0", "r", (Edit("remove", "red circle"),), "cm"),), "all must be blue")
    (verdicts,) = JUDGE.judge_sessions([PlayedSession(ruled, picture(SCENE), (picture(SCENE),))])
    assert not verdicts[0].valid and "rule" in verdicts[0].reason


def test_an_unreadable_result_is_invalid_and_so_is_what_follows() -> None:
    class Broken(Image.Image):
        def convert(self, *args: object, **kwargs: object) -> Image.Image:  # type: ignore[override]
            raise OSError("truncated")

        def load(self) -> None:  # type: ignore[override]
            raise OSError("truncated")

    one = perfect(make_session("test", 4, 0, 3))
    (verdicts,) = JUDGE.judge_sessions([replace(one, pictures=(one.pictures[0], Broken(), one.pictures[2]))])
    assert [v.valid for v in verdicts] == [True, False, False]


def test_the_pixels_of_a_removed_and_of_a_later_added_thing_are_no_background() -> None:
    """A thing comes to stand where another one was removed: neither its pixels nor those of the first are compared."""
    golds = [Edit("remove", "red circle"), Edit("add", "large yellow square", "center")]
    results = [apply_edits(SCENE, golds[:1]), apply_edits(SCENE, golds)]
    assert scores(CC, hand(golds, list(results))) == [1, 1]
    pixels = np.asarray(picture(results[1])).copy()
    pixels[object_mask(CIRCLE, 64)] = (0, 255, 0)
    assert scores(CC, hand(golds, [results[0], Image.fromarray(pixels)]))[1] == 1
