"""Known motions of real photographs are found again; edits, repainting and flat pictures are told from motion."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.registration import phase_cross_correlation

from benchmarks.sandbox.generate import SandboxBenchmark
from benchmarks.sandbox.render import render
from judges.metrics.base import Case
from judges.metrics.drift import KEYS, DriftMetric, Unmeasurable, drift
from judges.metrics.motion import Motion, fit
from judges.metrics.phase import shifts
from tests.judges.metrics.photographs import NAMES, moved, pasted, photograph, shifted

EVERY = pytest.mark.parametrize("name", NAMES)


def grey(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L"), dtype=np.float64)


@EVERY
def test_an_unchanged_picture_did_not_move(name: str) -> None:
    picture = photograph(name)
    d = drift(picture, picture.copy())
    assert (d.motion.tx, d.motion.ty, d.motion.scale, d.motion.degrees) == pytest.approx((0, 0, 1, 0), abs=1e-9)
    assert d.confidence == pytest.approx(1, abs=1e-9)
    assert d.agreement == 1


@pytest.mark.parametrize("seed", range(20))
def test_an_edited_sandbox_scene_did_not_move(seed: int) -> None:
    """Exact answers of requests without a zoom: whatever was added, moved or repainted, the picture stayed."""
    sample = SandboxBenchmark("test", 0).sample(seed)
    before, after = (Image.fromarray(render(scene, 192)) for scene in (sample.before, sample.after))
    if any(edit.action == "zoom" for edit in sample.gold):
        pytest.skip("a zoom moves everything")
    readings = DriftMetric().measure([Case(after, source=before)])[0]
    if readings["drift_px"].value is None:  # a new background leaves nothing to follow
        assert "moved together" in readings["drift_px"].reason
    else:
        assert readings["drift_px"].value < 0.2


@EVERY
@pytest.mark.parametrize(("dx", "dy"), [(3, -2), (17, 40), (-61, 0), (0.25, 0.0), (0.5, -0.37), (-1.6, 2.3)])
def test_a_known_shift_is_found(name: str, dx: float, dy: float) -> None:
    picture = photograph(name)
    d = drift(picture, shifted(picture, dx, dy))
    assert (d.motion.tx, d.motion.ty) == pytest.approx((dx, dy), abs=0.05)
    assert d.motion.scale == pytest.approx(1, abs=5e-4)
    assert d.motion.degrees == pytest.approx(0, abs=0.03)


@EVERY
@pytest.mark.parametrize("scale", [1.01, 1.02, 1.03, 0.99, 0.97, 1.1])
def test_a_known_zoom_is_found_and_is_no_shift(name: str, scale: float) -> None:
    d = drift(*moved(photograph(name), scale))
    assert d.motion.scale == pytest.approx(scale, abs=5e-4)
    assert (d.motion.tx, d.motion.ty) == pytest.approx((0, 0), abs=0.1)


@EVERY
def test_shift_zoom_and_rotation_together(name: str) -> None:
    d = drift(*moved(photograph(name), scale=1.015, degrees=1.0, dx=2.0, dy=-3.0))
    assert (d.motion.tx, d.motion.ty) == pytest.approx((2, -3), abs=0.1)
    assert d.motion.scale == pytest.approx(1.015, abs=5e-4)
    assert d.motion.degrees == pytest.approx(1.0, abs=0.03)


@EVERY
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("filling", ["another photograph", "one colour"])
def test_an_edit_of_a_fifth_of_the_picture_disturbs_nothing(name: str, seed: int, filling: str) -> None:
    """Both for a picture that stayed and for one that moved by half a pixel."""
    picture, rng = photograph(name), np.random.default_rng(seed)
    width, height = (round(side * math.sqrt(0.2)) for side in picture.size)
    left, top = (int(rng.integers(0, side - own)) for side, own in zip(picture.size, (width, height), strict=True))
    colour = tuple(int(c) for c in rng.integers(0, 256, 3))
    other = (
        photograph("chelsea" if name == "coffee" else "coffee")
        if filling[0] == "a"
        else Image.new("RGB", (9, 9), colour)
    )
    for dx, dy in ((0.0, 0.0), (0.5, -0.37)):
        edited = pasted(shifted(picture, dx, dy), other, (left, top, left + width, top + height))
        d = drift(picture, edited)
        assert (d.motion.tx, d.motion.ty) == pytest.approx((dx, dy), abs=0.05)
        assert d.motion.scale == pytest.approx(1, abs=5e-4)
        assert d.agreement > 0.5


@EVERY
def test_an_edit_that_moves_one_thing_is_no_drift(name: str) -> None:
    """A quarter of the picture's sides moves by 9 pixels, the rest stays: the motion of the whole is none."""
    picture = photograph(name)
    w, h = picture.size
    box = (w // 2, h // 2, w // 2 + w // 4, h // 2 + h // 4)
    edited = picture.copy()
    edited.paste(picture.crop(box), (box[0] + 9, box[1] - 9))
    d = drift(picture, edited)
    assert math.hypot(d.motion.tx, d.motion.ty) < 0.05


@EVERY
def test_jpeg_tone_and_blur_are_no_drift(name: str) -> None:
    picture = photograph(name)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=30)
    darker = Image.fromarray((255 * (np.asarray(picture) / 255) ** 2 * (1, 0.7, 0.5)).astype(np.uint8))
    w, h = picture.size
    smaller = picture.resize((w // 2, h // 2), Image.Resampling.BICUBIC)
    for edited in (Image.open(file), darker, smaller):
        d = drift(picture, edited)
        assert math.hypot(d.motion.tx, d.motion.ty) < 0.05
        assert d.motion.scale == pytest.approx(1, abs=5e-4)
    assert drift(picture, smaller).confidence < drift(picture, picture).confidence


@EVERY
def test_agrees_with_scikit_image(name: str) -> None:
    """Its upsampled cross-correlation gives the shift that registers the second with the first: the opposite sign."""
    picture = photograph(name)
    edited = shifted(picture, 4.3, -7.8)
    ours = drift(picture, edited).motion
    result, _, _ = phase_cross_correlation(grey(picture), grey(edited), upsample_factor=100, normalization=None)
    assert (ours.ty, ours.tx) == pytest.approx(tuple(-result), abs=0.05)


def test_backwards_is_the_opposite() -> None:
    before, after = moved(photograph("chelsea"), scale=1.02, dx=3.0, dy=1.5)
    there, back = drift(before, after).motion, drift(after, before).motion
    assert there.scale * back.scale == pytest.approx(1, abs=5e-4)
    assert (there.tx + back.tx * there.scale, there.ty + back.ty * there.scale) == pytest.approx((0, 0), abs=0.1)


def test_pixels_are_those_of_the_source_also_of_a_large_one() -> None:
    large = photograph("chelsea").resize((1353, 900), Image.Resampling.BICUBIC)
    d = drift(large, shifted(large, 6.0, -3.0))
    assert (d.motion.tx, d.motion.ty) == pytest.approx((6, -3), abs=0.15)


def test_a_small_picture_can_be_measured() -> None:
    small = photograph("astronaut").resize((64, 64), Image.Resampling.BICUBIC)
    d = drift(small, shifted(small, 1.5, -0.5))
    assert (d.motion.tx, d.motion.ty) == pytest.approx((1.5, -0.5), abs=0.05)


FLAT, NOISE = Image.new("RGB", (256, 256), (9, 99, 99)), np.random.default_rng(0)
HISS = [Image.fromarray(NOISE.normal(128, 1, (256, 256, 3)).round().astype(np.uint8)) for _ in range(2)]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (FLAT, FLAT, "too little detail"),
        (photograph("astronaut"), FLAT, "too little detail"),
        (FLAT, photograph("astronaut"), "too little detail"),
        (HISS[0], HISS[1], "detail"),
        (Image.new("RGB", (31, 400)), Image.new("RGB", (31, 400)), "smaller than 32 pixels"),
        (Image.new("RGB", (40, 700)), Image.new("RGB", (40, 700)), "16 times as long as wide"),
    ],
)
def test_pictures_that_show_no_motion_have_a_reason_instead(
    before: Image.Image, after: Image.Image, reason: str
) -> None:
    for row in DriftMetric().measure([Case(after, source=before)]):
        assert tuple(row) == KEYS
        assert all(r.value is None and reason in r.reason for r in row.values())


@pytest.mark.parametrize(("one", "other"), [(a, b) for a in NAMES for b in NAMES if a != b])
def test_unrelated_photographs_have_no_motion(one: str, other: str) -> None:
    with pytest.raises(Unmeasurable, match=r"moved together|nothing in common"):
        drift(photograph(one), photograph(other))


def test_detail_in_one_place_gives_a_shift_and_no_zoom() -> None:
    """One textured square of 24 pixels on a plain ground is seen by four tiles of 64, which overlap."""
    texture = photograph("astronaut").crop((200, 100, 224, 124))
    before, after = (pasted(FLAT, texture, (x, 100, x + 24, 124)) for x in (100, 102))
    row = DriftMetric().measure([Case(after, source=before)])[0]
    assert (row["drift_dx"].value, row["drift_dy"].value) == pytest.approx((2, 0), abs=0.05)
    for key in ("drift_scale", "drift_degrees"):
        assert row[key].value is None
        assert "too few places" in row[key].reason


def test_no_source_is_a_reason() -> None:
    row = DriftMetric().measure([Case(FLAT)])[0]
    assert {r.reason for r in row.values()} == {"the item has no source picture"}


# ------------------------------------------------------------------------------------------------------------ its parts
def test_the_parabola_is_exact_for_a_pure_shift() -> None:
    """A periodic texture under a window: the peak is a Gaussian by construction, so hundredths of a pixel are right."""
    texture = np.random.default_rng(1).normal(128, 40, (96, 96))
    ramp = np.fft.fftfreq(96)[None, :] * 0.3
    after = np.fft.ifft2(np.fft.fft2(texture) * np.exp(-2j * np.pi * ramp)).real
    result = shifts(texture[None, 16:80, 16:80], after[None, 16:80, 16:80])
    assert result.dx[0] == pytest.approx(0.3, abs=0.02)
    assert result.dy[0] == pytest.approx(0, abs=0.02)


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(*[st.floats(-20, 20)] * 2, *[st.floats(-0.05, 0.05)] * 2),
    st.integers(0, 2**32 - 1),
)
def test_a_third_of_wrong_tiles_does_not_move_the_fit(truth: tuple[float, ...], seed: int) -> None:
    rng, motion = np.random.default_rng(seed), Motion(*truth)
    x, y = (g.ravel() for g in np.meshgrid(np.linspace(-200, 200, 6), np.linspace(-200, 200, 6)))
    u, v = motion.at(x, y)
    wrong = rng.permutation(36)[:12]
    u[wrong] += rng.uniform(5, 30, 12) * rng.choice([-1, 1], 12)
    v[wrong] += rng.uniform(-30, 30, 12)
    result = fit(x, y, u, v, np.ones(36), 0.5)
    assert vars(result) == pytest.approx(vars(motion), abs=1e-6)


def test_scale_and_rotation_of_a_motion_by_hand() -> None:
    """Everything 3-4-5: (1 + a, b) = (0.6, 0.8) is a rotation by atan2(0.8, 0.6) = 53.13 degrees without zoom."""
    m = Motion(0, 0, -0.4, 0.8)
    assert (m.scale, m.degrees) == pytest.approx((1, 53.1301), abs=1e-4)
    u, v = m.at(np.array([10.0]), np.array([0.0]))  # (10, 0) goes to (6, 8)
    assert (10 + u[0], v[0]) == pytest.approx((6, 8))
