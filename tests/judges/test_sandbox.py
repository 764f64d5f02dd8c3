import time
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks.base import Edit, EditSample
from benchmarks.errors import BadInput
from benchmarks.sandbox import scene as S
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene, Thing
from judges.sandbox import SandboxJudge
from tests.sandbox_scenes import random_scene

SCENE = Scene(
    "sky",
    (
        Thing("star", "red", (0, 0), size="large"),
        Thing("circle", "blue", (1, 1)),
        Thing("house", "yellow", (2, 2), "striped"),
        Thing("tree", "green", (0, 2)),
    ),
    "HI",
)
RECOLOR, MOVE = Edit("recolor", "red star", "purple"), Edit("move", "blue circle", "bottom left")
ADD, REMOVE = Edit("add", "pink heart"), Edit("remove", "yellow house")
FULFILLED, PRESERVED, QUALITY, OVERALL = "request_fulfilled", "content_preserved", "image_quality", "overall"


def picture(what):
    return Image.fromarray(render(what) if isinstance(what, Scene) else what)


def scores(before, after, *gold):
    verdict = SandboxJudge().judge(picture(before), picture(after), gold)
    assert verdict.valid, verdict.reason
    return verdict.scores


def answer(*gold, scene=SCENE):
    return apply_edits(scene, gold)


def random_edits(scene, seed):
    """One to four edits on different things, and sometimes one of the whole picture."""
    rng = Random(f"edits {seed}")
    things = list(scene.things)
    rng.shuffle(things)
    edits = []
    for thing in things[: rng.randint(1, 3)]:
        colour = rng.choice([c for c in S.COLOURS if c != thing.colour])
        material = rng.choice([m for m in S.MATERIALS if m != thing.material])
        count = rng.choice([n for n in range(1, 6) if n != thing.count])
        options = [
            Edit("remove", thing.name),
            Edit("recolor", thing.name, colour),
            Edit("count", thing.name, str(count)),
            Edit("replace", thing.name, f"{colour} fish" if thing.shape != "fish" else f"{colour} tree"),
        ]
        if not thing.label:
            options.append(Edit("material", thing.name, material))
        edits.append(rng.choice(options))
    if rng.random() < 0.4:
        other = rng.choice([b for b in S.BACKGROUNDS if b != scene.background])
        whole = [Edit("background", "background", other), Edit("relight", "image", "darker")]
        edits.append(rng.choice([*whole, Edit("tone", "image", "sepia"), Edit("zoom", "image", "center")]))
    return edits


def test_the_target_scores_ten_and_the_input_nothing():
    for seed in range(60):
        scene = random_scene(seed, fewest=2)
        gold = random_edits(scene, seed)
        assert set(scores(scene, apply_edits(scene, gold), *gold).values()) == {10.0}, gold
        untouched = scores(scene, scene, *gold)
        assert untouched == {FULFILLED: 0.0, PRESERVED: 10.0, QUALITY: 10.0, OVERALL: 0.0}, gold


@pytest.mark.parametrize("action", ["background", "relight", "tone", "zoom"])
def test_edits_of_the_whole_picture(action):
    goal = {"background": "night", "relight": "darker", "tone": "warmer", "zoom": "center"}[action]
    edit = Edit(action, "image", goal)
    assert scores(SCENE, answer(edit), edit)[OVERALL] == 10
    assert scores(SCENE, SCENE, edit)[FULFILLED] == 0
    other = {"background": "sea", "relight": "brighter", "tone": "cooler", "zoom": "top right"}[action]
    wrong = scores(SCENE, answer(Edit(action, "image", other)), edit)
    assert wrong[FULFILLED] < 3
    recolor = Edit("recolor", "blue circle", "purple")  # in every frame
    half = scores(SCENE, answer(edit), edit, recolor)  # the other edit was forgotten, but nothing was harmed
    assert half[FULFILLED] == pytest.approx(5, abs=0.01)
    assert half[PRESERVED] == half[QUALITY] == 10
    half = scores(SCENE, answer(recolor), edit, recolor)
    assert half[FULFILLED] == pytest.approx(5, abs=0.01)
    assert half[PRESERVED] == half[QUALITY] == 10


def test_each_edit_earns_its_share():
    gold = (RECOLOR, MOVE, ADD, REMOVE)
    for k in range(5):
        got = scores(SCENE, answer(*gold[:k]), *gold)
        assert got[FULFILLED] == pytest.approx(2.5 * k, abs=0.01)
        assert got[PRESERVED] == got[QUALITY] == 10
    verdict = SandboxJudge().judge(picture(SCENE), picture(answer(MOVE, REMOVE)), gold)
    assert [e.done for e in verdict.raw.edits] == [False, True, False, True]


def test_the_wrong_object():
    wrong = scores(SCENE, answer(Edit("recolor", "blue circle", "purple")), RECOLOR)
    assert wrong[FULFILLED] == 0
    assert wrong[PRESERVED] < 7
    assert wrong[QUALITY] == 10
    assert wrong[OVERALL] == 0
    both = scores(SCENE, answer(RECOLOR, Edit("recolor", "blue circle", "purple")), RECOLOR)
    assert both[FULFILLED] == both[QUALITY] == 10
    assert both[PRESERVED] == wrong[PRESERVED]


def test_the_wrong_colour():
    wrong = scores(SCENE, answer(Edit("recolor", "red star", "green")), RECOLOR)
    assert wrong[FULFILLED] == 0
    assert wrong[PRESERVED] == wrong[QUALITY] == 10


def test_an_extra_change_costs_preservation_alone_in_full_and_empty_pictures():
    for scene in (SCENE, replace(SCENE, things=SCENE.things[:1], caption="")):
        right = answer(RECOLOR, scene=scene)
        for extra, most in (
            (Edit("add", "black square", "middle left"), 8.5),
            (Edit("add", "large black square", "middle left"), 7),
        ):
            got = scores(scene, answer(extra, scene=right), RECOLOR)
            assert got[FULFILLED] == got[QUALITY] == 10
            assert 4 < got[PRESERVED] < most
    lost = scores(SCENE, answer(REMOVE, scene=answer(RECOLOR)), RECOLOR)
    assert lost[FULFILLED] == 10
    assert lost[PRESERVED] < 6
    more = scores(SCENE, answer(REMOVE, Edit("remove", "blue circle"), scene=answer(RECOLOR)), RECOLOR)
    assert more[PRESERVED] < lost[PRESERVED]
    caption = scores(SCENE, replace(answer(RECOLOR), caption="NO"), RECOLOR)
    assert 5 < caption[PRESERVED] < 9.5


def test_free_places_are_the_pictures_choice():
    gold = (ADD, Edit("add", "white moon", "left of yellow house"))
    for first in ((0, 1), (1, 0), (1, 2)):
        for second in ((2, 1), (2, 0)):
            things = (*SCENE.things, Thing("heart", "pink", first), Thing("moon", "white", second))
            assert scores(SCENE, replace(SCENE, things=things), *gold)[OVERALL] == 10
    wrong_side = replace(SCENE, things=(*SCENE.things, Thing("heart", "pink", (0, 1)), Thing("moon", "white", (1, 2))))
    assert scores(SCENE, wrong_side, *gold)[FULFILLED] == pytest.approx(5, abs=0.8)


def test_edits_that_depend_on_each_other():
    chain = (MOVE, Edit("remove", "blue circle"))
    assert scores(SCENE, answer(*chain), *chain)[OVERALL] == 10
    assert scores(SCENE, answer(MOVE), *chain)[FULFILLED] == 5
    colour = (MOVE, Edit("recolor", "blue circle", "black"))
    for k in (0, 1):
        assert scores(SCENE, answer(colour[k]), *colour)[FULFILLED] == pytest.approx(5, abs=0.01)
    grown = (ADD, Edit("recolor", "pink heart", "black"))
    assert scores(SCENE, answer(*grown), *grown)[OVERALL] == 10
    assert 3 < scores(SCENE, answer(ADD), *grown)[FULFILLED] <= 5.01
    swap = (Edit("recolor", "red star", "blue"), Edit("recolor", "blue circle", "red"))
    assert scores(SCENE, answer(*swap), *swap)[OVERALL] == 10
    assert scores(SCENE, answer(swap[1]), *swap)[FULFILLED] == pytest.approx(5, abs=0.01)
    places = (Edit("move", "red star", "center"), Edit("move", "blue circle", "top left"))
    assert scores(SCENE, answer(*places), *places)[OVERALL] == 10
    assert scores(SCENE, SCENE, *places)[FULFILLED] == 0


def shifted(image, by):
    return np.concatenate([np.repeat(image[:, :1], by, 1), image[:, : image.shape[1] - by]], 1)


def mean_scores(corrupt, strengths):
    """Mean scores of the corrupted target over scenes, one row per strength."""
    table = []
    for strength in strengths:
        rows = []
        for seed in range(8):
            scene = random_scene(seed, fewest=3)
            gold = [e for e in random_edits(scene, seed) if e.action != "zoom"]
            rows.append(scores(scene, corrupt(render(apply_edits(scene, gold)), strength), *gold))
        table.append({k: np.mean([r[k] for r in rows]) for k in rows[0]})
    return table


def test_monotone_in_blur():
    table = mean_scores(lambda x, s: gaussian_filter(x, (s, s, 0)), [0, 0.4, 0.7, 1, 1.5, 2.5])
    for key in (FULFILLED, PRESERVED, QUALITY, OVERALL):
        values = [row[key] for row in table]
        assert values == sorted(values, reverse=True), key
    assert table[3][QUALITY] < 4


def test_monotone_in_noise():
    unit = np.random.default_rng(0).normal(0, 1, (64, 64, 3))
    table = mean_scores(lambda x, s: np.clip(x + s * unit, 0, 255).astype(np.uint8), [0, 2, 5, 10, 20, 40])
    for key in (FULFILLED, PRESERVED, QUALITY, OVERALL):
        values = [row[key] for row in table]
        assert values == sorted(values, reverse=True), key
    assert table[1][PRESERVED] > 9
    assert table[5][PRESERVED] < 3


def test_a_small_shift_costs_a_little_and_a_large_one_much():
    table = mean_scores(shifted, [0, 1, 2, 4, 8])
    values = [row[PRESERVED] for row in table]
    assert values == sorted(values, reverse=True)
    assert table[1][PRESERVED] > 7.5
    assert table[4][PRESERVED] < 5
    assert min(row[QUALITY] for row in table) > 8.5  # a shifted picture is no worse as a picture
    overall = [row[OVERALL] for row in table]
    assert overall == sorted(overall, reverse=True)


def test_noise_in_the_input_is_nobodys_fault():
    noisy = np.clip(render(SCENE) + np.random.default_rng(0).normal(0, 5, (64, 64, 3)), 0, 255).astype(np.uint8)
    changed = (render(answer(RECOLOR)) != render(SCENE)).any(-1, keepdims=True)
    done = np.where(changed, render(answer(RECOLOR)), noisy)
    assert scores(noisy, done, RECOLOR)[OVERALL] == 10
    assert scores(noisy, noisy, RECOLOR)[PRESERVED] == 10


def test_junk_is_worth_nothing():
    rng = np.random.default_rng(0)
    for junk in (np.full((64, 64, 3), 128, np.uint8), rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)):
        assert scores(SCENE, junk, RECOLOR, ADD)[OVERALL] < 1


def test_larger_pictures_score_alike():
    gold = (RECOLOR, ADD)
    before, target = Image.fromarray(render(SCENE, 256)), render(answer(*gold), 256)
    judge = SandboxJudge()
    assert set(judge.judge(before, Image.fromarray(target), gold).scores.values()) == {10.0}
    assert judge.judge(before, before, gold).scores[FULFILLED] == 0
    small = scores(SCENE, gaussian_filter(render(answer(*gold)), (1, 1, 0)), *gold)
    large = judge.judge(before, Image.fromarray(gaussian_filter(target, (4, 4, 0))), gold).scores
    assert large[QUALITY] == pytest.approx(small[QUALITY], abs=2)


def test_invalid_verdicts_say_why():
    judge, image = SandboxJudge(), picture(SCENE)
    assert "sizes must agree" in judge.judge(image, image.resize((32, 32)), [RECOLOR]).reason
    wide = image.resize((96, 64))
    assert "squares" in judge.judge(wide, wide, [RECOLOR]).reason
    lost = judge.judge(image, image, [Edit("remove", "white moon")])
    assert not lost.valid and not lost.scores
    assert "no 'white moon'" in lost.reason
    with pytest.raises(BadInput, match="at least one"):
        judge.judge(image, image, [])


def test_samples_are_accepted_and_verdicts_repeat():
    sample = EditSample("x", "whatever", (RECOLOR,))
    first = SandboxJudge().judge(picture(SCENE), picture(answer(MOVE)), sample)
    assert first == SandboxJudge().judge(picture(SCENE), picture(answer(MOVE)), sample)


def test_speed():
    gold = (RECOLOR, MOVE, ADD)
    before, after = picture(SCENE), picture(gaussian_filter(render(answer(*gold)), (0.5, 0.5, 0)))
    judge = SandboxJudge()
    judge.judge(before, after, gold)
    start = time.process_time()
    for _ in range(20):
        judge.judge(before, after, gold)
    assert (time.process_time() - start) / 20 < 0.06  # 10 to 20 ms on an idle core
