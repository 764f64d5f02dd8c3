"""Known answers for the sandbox's judge, through its public interface alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageFilter

from benchmarks.base import GLOBAL_ACTIONS, Edit
from benchmarks.sandbox import scene as S
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene, Thing
from judges.base import ASPECTS, OVERALL, Verdict
from judges.sandbox import SandboxJudge

JUDGE = SandboxJudge()
THINGS = (
    Thing("circle", "red", (0, 0), size="large"),
    Thing("star", "yellow", (0, 2)),
    Thing("square", "blue", (1, 1), size="large"),
    Thing("tree", "green", (2, 0)),
    Thing("heart", "pink", (2, 2)),
)
SCENE = Scene("white", THINGS)
RECOLOR = (Edit("recolor", "red circle", "purple"),)
BUSY = ("white", "sky", "brick", "night", "sunset")


def picture(scene: Scene) -> Image.Image:
    return Image.fromarray(render(scene))


def judge(scene: Scene, after: Scene | Image.Image, gold: tuple[Edit, ...]) -> Verdict:
    verdict = JUDGE.judge(picture(scene), picture(after) if isinstance(after, Scene) else after, gold)
    assert verdict.valid, verdict.reason
    return verdict


def scores(verdict: Verdict) -> tuple[float, ...]:
    return tuple(verdict.scores[k] for k in (*ASPECTS, OVERALL))


def other_colour(scene: Scene, *names: str, colour: str = "cyan") -> Scene:
    return replace(scene, things=tuple(replace(t, colour=colour) if t.name in names else t for t in scene.things))


def shifted(image: Image.Image, by: int) -> Image.Image:
    a = np.asarray(image)
    return Image.fromarray(np.pad(a, ((by, 0), (by, 0), (0, 0)), mode="edge")[: len(a), : len(a)])


def noisy(image: Image.Image, sigma: float) -> Image.Image:
    a = np.asarray(image).astype(float)
    return Image.fromarray(np.clip(a + np.random.default_rng(0).normal(0, sigma, a.shape), 0, 255).astype(np.uint8))


def blurred(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


@cache
def samples(n: int) -> list[SandboxSample]:
    benchmark = SandboxBenchmark("test", seed=11)
    return [benchmark.sample(i) for i in range(n)]


def with_rule(sample: SandboxSample) -> tuple[Edit, ...]:
    """The gold edits, and the session's rule as one more edit on what they made."""
    plain = apply_edits(sample.before, sample.gold)
    fresh = [t for t in plain.things if t not in sample.before.things]
    if sample.rule is None or len(fresh) != 1:
        return sample.gold
    return (*sample.gold, Edit(sample.rule.action, fresh[0].name, sample.rule.goal))


# ------------------------------------------------------------------------------------------ exact and untouched
def test_the_exact_target_scores_ten_and_the_untouched_input_nothing_fulfilled() -> None:
    seen = set()
    for sample in samples(90):
        seen |= {e.action for e in sample.gold}
        assert scores(JUDGE.judge(sample.image, sample.target, sample.gold)) == (10, 10, 10, 10), sample.gold
        assert scores(JUDGE.judge(sample.image, sample.image, sample.gold)) == (0, 10, 10, 0), sample.gold
    assert set(GLOBAL_ACTIONS) <= seen


def test_sessions_with_their_rule() -> None:
    benchmark = SandboxBenchmark("test", seed=2)
    for i in range(12):
        for turn in benchmark.session(i).turns:
            verdict = JUDGE.judge(turn.image, turn.target, with_rule(turn))
            assert verdict.valid and scores(verdict) == (10, 10, 10, 10), (turn.id, verdict)


@pytest.mark.parametrize("edit", [
    Edit("background", "background", "night"), Edit("relight", "image", "darker"), Edit("relight", "image", "brighter"),
    Edit("tone", "image", "sepia"), Edit("tone", "image", "grayscale"), Edit("zoom", "image", "top left"),
], ids=lambda e: f"{e.action}-{e.goal}")  # fmt: skip
def test_whole_picture_edits(edit: Edit) -> None:
    gold = (edit, Edit("recolor", "red circle", "purple"))
    assert scores(judge(SCENE, apply_edits(SCENE, gold), gold)) == (10, 10, 10, 10)
    assert scores(judge(SCENE, SCENE, gold)) == (0, 10, 10, 0)
    for half in gold:
        verdict = judge(SCENE, apply_edits(SCENE, [half]), gold)
        assert verdict.scores["request_fulfilled"] == pytest.approx(5, abs=1.2)
        assert verdict.scores["content_preserved"] > 9 and verdict.scores["image_quality"] == 10


def test_free_places_are_chosen_in_favour_of_the_result() -> None:
    for gold in ((Edit("add", "black fish"),), (Edit("move", "red circle", "left of pink heart"),)):
        for cell in ((1, 0), (1, 2), (2, 1)):
            after = apply_edits(SCENE, gold, {0: cell})
            assert scores(judge(SCENE, after, gold)) == (10, 10, 10, 10)


# ------------------------------------------------------------------------------------------ single corruptions
@pytest.mark.parametrize("background", BUSY)
def test_wrong_object(background: str) -> None:
    scene = replace(SCENE, background=background)
    fulfilled, kept, quality, overall = scores(
        judge(scene, other_colour(scene, "blue square", colour="purple"), RECOLOR)
    )
    assert fulfilled < 0.5 and 3 < kept < 8 and quality == 10 and overall < 2.5


@pytest.mark.parametrize("colour", [c for c in S.COLOURS if c not in ("red", "purple")])
def test_wrong_colour_loses_fulfilment_alone(colour: str) -> None:
    fulfilled, kept, quality, _ = scores(judge(SCENE, other_colour(SCENE, "red circle", colour=colour), RECOLOR))
    assert fulfilled < 3 and kept == 10 and quality == 10


@pytest.mark.parametrize("background", BUSY)
@pytest.mark.parametrize("extra", ["recolour", "vanish", "appear", "move"])
def test_one_extra_change_costs_preservation_alone(extra: str, background: str) -> None:
    scene = replace(SCENE, background=background)
    also = {
        "recolour": Edit("recolor", "blue square", "cyan"),
        "vanish": Edit("remove", "yellow star"),
        "appear": Edit("add", "black house", "top center"),
        "move": Edit("move", "yellow star", "bottom center"),
    }[extra]
    fulfilled, kept, quality, _ = scores(judge(scene, apply_edits(scene, [*RECOLOR, also]), RECOLOR))
    assert fulfilled == 10 and 2 < kept < 8.5 and quality == 10


def test_one_of_two_missing_is_half() -> None:
    gold = (*RECOLOR, Edit("remove", "yellow star"))
    for half in gold:
        assert scores(judge(SCENE, apply_edits(SCENE, [half]), gold))[:3] == pytest.approx((5, 10, 10), abs=0.3)


@pytest.mark.parametrize("gold", [
    (Edit("recolor", "red circle", "purple"), Edit("move", "red circle", "bottom center")),
    (Edit("recolor", "red circle", "purple"), Edit("material", "red circle", "striped")),
    (Edit("move", "red circle", "bottom center"), Edit("count", "red circle", "3")),
], ids=["recolor-move", "recolor-material", "move-count"])  # fmt: skip
def test_edits_of_one_thing_are_credited_apart(gold: tuple[Edit, Edit]) -> None:
    assert scores(judge(SCENE, apply_edits(SCENE, gold), gold)) == (10, 10, 10, 10)
    for half in gold:
        fulfilled, kept, quality, _ = scores(judge(SCENE, apply_edits(SCENE, [half]), gold))
        assert 4 < fulfilled < 6.5 and kept > 9 and quality == 10


def test_a_swap_of_places_and_an_edit_that_is_undone_later() -> None:
    swap = (Edit("move", "red circle", "top right"), Edit("move", "yellow star", "top left"))
    gone = (Edit("recolor", "red circle", "purple"), Edit("remove", "red circle"))
    for gold in (swap, gone):
        assert scores(judge(SCENE, apply_edits(SCENE, gold), gold)) == (10, 10, 10, 10)
        assert scores(judge(SCENE, SCENE, gold)) == (0, 10, 10, 0)


def test_a_copy_is_no_move() -> None:
    gold = (Edit("move", "red circle", "bottom center"),)
    copied = replace(SCENE, things=(*THINGS, replace(THINGS[0], cell=(2, 1))))
    assert scores(judge(SCENE, copied, gold))[0] < 5
    assert scores(judge(SCENE, apply_edits(SCENE, [Edit("remove", "red circle")]), gold))[0] < 5


BOUNDS = {  # mean over samples of the corrupted exact target: (fulfilled, preserved, quality) as (low, high)
    "blur 1": (lambda i: blurred(i, 1), ((3, 8.5), (5, 9.8), (1, 6))),
    "noise 16": (lambda i: noisy(i, 16), ((6, 9.9), (6, 10), (3, 8))),
    "shift 1": (lambda i: shifted(i, 1), ((4, 9), (4, 9.5), (8.5, 10))),
    "shift 8": (lambda i: shifted(i, 8), ((0, 5), (0, 2), (8.5, 10))),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_spoilt_pictures_lose_where_they_should(name: str) -> None:
    spoil, bounds = BOUNDS[name]
    result = np.array([scores(JUDGE.judge(s.image, spoil(s.target), s.gold))[:3] for s in samples(24)]).mean(0)
    for value, (low, high) in zip(result, bounds, strict=True):
        assert low <= value <= high, (name, result.round(2))


# ------------------------------------------------------------------------------------------ monotone
MONOTONE: dict[str, tuple[Callable[[Image.Image, float], Image.Image], tuple[float, ...], tuple[int, ...]]] = {
    "blur": (blurred, (0, 0.5, 1, 2, 4), (0, 1, 2)),
    "noise": (noisy, (0, 8, 16, 32, 64), (0, 1, 2)),
    "shift": (lambda i, by: shifted(i, int(by)), (0, 1, 2, 4, 8), (0, 1)),
}


@pytest.mark.parametrize("name", MONOTONE)
def test_scores_fall_with_the_strength(name: str) -> None:
    spoil, strengths, aspects = MONOTONE[name]
    pictures = samples(10)
    rows = [
        np.array([scores(JUDGE.judge(s.image, spoil(s.target, x), s.gold)) for s in pictures]).mean(0)
        for x in strengths
    ]
    for aspect in (*aspects, 3):
        values = [row[aspect] for row in rows]
        assert all(a >= b - 0.05 for a, b in zip(values, values[1:], strict=False)), (aspect, np.round(values, 2))


@pytest.mark.parametrize("background", BUSY)
def test_preservation_falls_with_each_wrongly_changed_thing(background: str) -> None:
    scene = replace(SCENE, background=background)
    names, values = [t.name for t in THINGS[1:]], []
    for n in range(len(names) + 1):
        verdict = judge(scene, other_colour(apply_edits(scene, RECOLOR), *names[:n]), RECOLOR)
        assert verdict.scores["request_fulfilled"] == 10 and verdict.scores["image_quality"] == 10
        values.append(verdict.scores["content_preserved"])
    assert all(a > b for a, b in zip(values, values[1:], strict=False)), values


def test_another_clean_picture_is_clean() -> None:
    pictures = samples(20)
    for a, b in zip(pictures, pictures[1:], strict=False):
        assert JUDGE.judge(a.image, b.target, a.gold).scores["image_quality"] >= 9.5


# ------------------------------------------------------------------------------------------ the interface
def test_same_input_same_verdict_and_raw_is_json() -> None:
    s = samples(3)[2]
    first, second = (SandboxJudge().judge(s.image, noisy(s.target, 9), s.gold) for _ in range(2))
    assert first.scores == second.scores and json.dumps(first.raw) == json.dumps(second.raw)
    assert len(first.raw["edits"]) == len(s.gold) and {"credit", "done"} <= first.raw["edits"][0].keys()


def test_invalid_verdicts_say_why() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for before, gold in ((noise, RECOLOR), (picture(SCENE), (Edit("remove", "black moon"),)), (picture(SCENE), ())):
        verdict = JUDGE.judge(before, picture(SCENE), gold)
        assert not verdict.valid and verdict.reason and not verdict.scores


def test_any_result_gets_a_verdict() -> None:
    before = picture(SCENE)
    for size in ((1, 1), (2000, 3), (63, 64), (128, 128)):
        verdict = JUDGE.judge(before, Image.new("RGB", size, (90, 10, 200)), RECOLOR)
        assert verdict.valid and "resized" in verdict.reason
    for mode in ("L", "RGBA", "CMYK", "I;16", "1", "P"):
        assert JUDGE.judge(before, Image.new(mode, (64, 64)), RECOLOR).valid
    big = Image.fromarray(render(apply_edits(SCENE, RECOLOR), 128))
    assert scores(JUDGE.judge(Image.fromarray(render(SCENE, 128)), big, RECOLOR)) == (10, 10, 10, 10)
