from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from benchmarks.sandbox import scene as S
from benchmarks.sandbox.perceive import perceive, perceive_fully
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene
from tests.sandbox_scenes import random_scene


@pytest.mark.parametrize("photo_edits", [False, True])
def test_exact_on_renders(photo_edits):
    """Everything is read back: background, light, tone, caption, and all of every thing."""
    for seed in range(300):
        scene = random_scene(seed, photo_edits)
        assert perceive(render(scene)) == scene, seed


@pytest.mark.parametrize("size", [128, 512])
def test_exact_on_larger_renders(size):
    for seed in range(12):
        scene = random_scene(seed, photo_edits=True)
        assert perceive(render(scene, size)) == scene, seed


@pytest.mark.parametrize("background", S.BACKGROUNDS)
def test_exact_on_empty_scenes_under_every_light_and_tone(background):
    for light in ("", *S.LIGHTS):
        for tone in ("", *S.TONES):
            scene = Scene(background, (), light=light, tone=tone)
            assert perceive(render(scene)) == scene


def names(scene):
    return {(t.cell, t.name) for t in scene.things}


def test_noise_and_blur_are_tolerated_gracefully():
    rng = np.random.default_rng(0)
    noisy = blurred = total = 0
    for seed in range(16):
        scene = random_scene(seed)
        image = render(scene)
        rough = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
        noisy += len(names(perceive(rough)) & names(scene))
        blurred += len(names(perceive(gaussian_filter(image, (0.5, 0.5, 0)))) & names(scene))
        total += len(scene.things)
        assert perceive(rough).background == scene.background
    assert noisy >= 0.97 * total
    assert blurred >= 0.7 * total


def test_odd_sizes_are_read_mostly():
    right = total = 0
    for seed in range(20):
        scene = random_scene(seed)
        right += len(names(perceive(render(scene, 200))) & names(scene))
        total += len(scene.things)
    assert right >= 0.85 * total


def test_zoomed_pictures_show_what_they_show():
    for seed in range(18):
        scene = replace(random_scene(seed, fewest=4), zoom=tuple(S.CELL_NAMES.values())[seed % 9])
        seen = perceive_fully(render(scene))
        assert seen.scene.zoom == scene.zoom
        assert seen.scene.background == scene.background
        assert seen.error < 2


def test_error_tells_renders_from_other_pictures():
    assert perceive_fully(render(random_scene(2))).error == 0
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert perceive_fully(noise).error > 20


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_picture_gives_a_scene(data):
    shape = (data.draw(st.integers(1, 80)), data.draw(st.integers(1, 80)), 3)
    image = data.draw(arrays(np.uint8, shape, elements=st.integers(0, 255), fill=st.integers(0, 255)))
    render(perceive(image))  # a scene that can be drawn


@pytest.mark.parametrize("shape", [(1, 1), (3, 20000), (20000, 3), (64, 65), (600, 600)])
def test_extreme_sizes(shape):
    assert isinstance(perceive(np.full((*shape, 3), 120, np.uint8)), Scene)


def test_known_labels_are_told_apart_without_reading() -> None:
    """With the labels that a picture can bear, and no others, the same scene is seen."""
    for seed in range(25):
        scene = random_scene(seed)
        labels = tuple({t.label for t in scene.things if t.label})
        image = render(scene, 64)
        assert perceive_fully(image, labels) == perceive_fully(image)
        unlabelled = replace(scene, things=tuple(replace(t, label="") for t in scene.things))
        assert perceive_fully(render(unlabelled, 64), labels).scene == perceive_fully(render(unlabelled, 64)).scene
