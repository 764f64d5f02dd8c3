"""The sandbox's evaluation points: about the request, answered by the exact judge's verdict."""

from dataclasses import replace
from random import Random

import pytest
from PIL import Image, ImageFilter

from benchmarks.base import Edit, EditSample
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene, Thing
from common.errors import BadInput
from judges.base import Verdict
from judges.reasoning.points import FOLLOW, KEEP, QUALITY
from judges.reasoning.sandbox import right_answers, sandbox_points
from judges.sandbox import SandboxJudge

SCENE = Scene("sand", (Thing("circle", "red", (0, 0)), Thing("star", "blue", (1, 1)), Thing("house", "green", (2, 2))))
EDITS = (Edit("recolor", "red circle", "blue"), Edit("remove", "blue star"))
SAMPLE = SandboxSample("s", "make the circle blue and remove the star", EDITS, before=SCENE)


def answers(scene: Scene, sample: SandboxSample = SAMPLE, blur: float = 0.0) -> dict[str, int]:
    picture = Image.fromarray(render(scene, 64))
    if blur:
        picture = picture.filter(ImageFilter.GaussianBlur(blur))
    points = sandbox_points(sample)
    verdict = SandboxJudge().judge(sample.image, picture, sample)
    return dict(zip([p.question for p in points], right_answers(sample, points, verdict), strict=True))


def test_points_are_about_what_was_asked_what_stays_and_quality() -> None:
    points = sandbox_points(SAMPLE)
    assert [p.kind for p in points] == [FOLLOW, FOLLOW, KEEP, KEEP, QUALITY, QUALITY]
    assert points[0].question == "is this done: change the color of the red circle to blue?"
    assert {p.question for p in points if p.kind == KEEP} == {
        "is the green house kept as it was?",
        "is the background kept as it was?",
    }
    assert sandbox_points(SAMPLE) == points


def test_the_exact_answer_meets_every_point_and_the_untouched_picture_none_of_the_request() -> None:
    assert set(answers(apply_edits(SCENE, EDITS)).values()) == {1}
    assert list(answers(SCENE).values()) == [0, 0, 1, 1, 1, 1]


def test_each_fault_fails_its_own_point() -> None:
    done = apply_edits(SCENE, EDITS)
    half = apply_edits(SCENE, EDITS[:1])
    assert list(answers(half).values())[:2] == [1, 0]
    no_house = done.with_thing(next(t for t in done.things if t.shape == "house"), None)
    assert answers(no_house)["is the green house kept as it was?"] == 0
    assert answers(replace(done, background="sea"))["is the background kept as it was?"] == 0
    blurred = answers(done, blur=0.7)
    assert blurred["is the picture sharp?"] == 0 and blurred["is the green house kept as it was?"] == 1


def test_points_of_generated_samples_are_all_met_by_their_targets() -> None:
    bench, judge = SandboxBenchmark("validation", 3), SandboxJudge()
    for i in range(25):
        sample = bench.sample(i)
        points = sandbox_points(sample)
        got = right_answers(sample, points, judge.judge(sample.image, sample.target, sample))
        assert all(got), (sample.request, points, got)


def test_a_picture_without_its_scene_is_perceived() -> None:
    plain = EditSample(SAMPLE.id, SAMPLE.request, EDITS, picture=SAMPLE.image)
    assert sandbox_points(plain) == sandbox_points(SAMPLE)


def test_what_has_no_points_is_refused() -> None:
    with pytest.raises(BadInput, match="no wanted edits"):
        sandbox_points(replace(SAMPLE, gold=()))
    with pytest.raises(BadInput, match="invalid verdict"):
        right_answers(SAMPLE, sandbox_points(SAMPLE), Verdict.invalid("no picture"))
    other = SandboxBenchmark("test", 1).sample(Random(0).randrange(9))
    verdict = SandboxJudge().judge(other.image, other.target, other)
    with pytest.raises(BadInput, match="no evaluation point of this request"):
        right_answers(other, sandbox_points(SAMPLE), verdict)
