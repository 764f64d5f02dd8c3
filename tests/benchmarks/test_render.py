from dataclasses import fields, replace
from itertools import combinations

import numpy as np
import pytest

from benchmarks.sandbox import scene as S
from benchmarks.sandbox.backgrounds import background
from benchmarks.sandbox.font import CHARACTERS, glyph
from benchmarks.sandbox.render import cell_centre, grade, object_mask, render, zoom_in
from benchmarks.sandbox.scene import Scene, Thing
from benchmarks.sandbox.shapes import FILL
from benchmarks.sandbox.silhouettes import SILHOUETTES, classes
from common.errors import BadInput
from common.ranges import RANGE
from conf.schema.shared import ScaleConfig
from tests.sandbox_scenes import random_scene


def test_every_look_is_its_own():
    """No two of shape x size x count x nudge x material draw the same pixels, and each shows some of its colour."""
    seen = {}
    for i, silhouette in enumerate(SILHOUETTES):
        for material in S.MATERIALS:
            key = classes(i, material).tobytes()
            assert seen.setdefault(key, (silhouette, material)) == (silhouette, material)
        assert (classes(i, "plain") >= FILL).sum() >= 5 * silhouette[2]


def test_glyphs_differ_and_are_not_empty():
    for a, b in combinations(CHARACTERS, 2):
        assert (glyph(a) != glyph(b)).any(), (a, b)
    assert all(glyph(c).any() for c in CHARACTERS)
    assert len(CHARACTERS) == 36


def test_backgrounds_are_far_apart():
    for a, b in combinations(S.BACKGROUNDS, 2):
        distance = np.abs(background(a, 64).astype(int) - background(b, 64)).mean()
        assert distance > 10, (a, b, distance)


@pytest.mark.parametrize("size", [48, 64, 100, 512])
def test_sizes_and_determinism(size):
    scene = random_scene(3, photo_edits=True)
    image = render(scene, size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(image, render(scene, size))


@pytest.mark.parametrize("size", [16, 32, 40, 47, 4097])
def test_a_side_in_which_a_caption_does_not_fit_is_refused(size):
    with pytest.raises(BadInput, match=f"size={size} cannot be drawn: a picture has 48 to 4096 pixels a side"):
        render(random_scene(3), size)


def test_the_sides_that_a_configuration_allows_are_those_that_can_be_drawn():
    allowed = next(f for f in fields(ScaleConfig) if f.name == "image_size").metadata[RANGE]
    assert (allowed.least, allowed.most) == (S.SMALLEST_SIDE, S.LARGEST_SIDE)


@pytest.mark.parametrize("size", [*range(48, 100), 200])
def test_the_longest_caption_and_things_at_every_edge_fit_at_every_side(size):
    """Nothing is painted beyond an edge, and nothing comes in again on the other one: the columns at the edge of one side stay
    as the background has them where the things lie on the other side."""
    for shape in ("square", "star"):
        for count, large in ((1, "large"), (2, "small"), (5, "medium")):
            things = tuple(Thing(shape, "red", (r, 2), size=large, count=count, nudge=(0, 1)) for r in range(3))
            scene = Scene("white", things, caption="W" * S.MAX_CAPTION)
            image = render(scene, size)
            assert np.array_equal(image[: size // 2, : size // 3], background("white", size)[: size // 2, : size // 3])
            assert not object_mask(things[0], size)[:, : size // 3].any()


def test_drawing_stays_inside_masks_and_leaves_the_cached_background_alone():
    scene = replace(random_scene(5), caption="", zoom="")
    untouched = background(scene.background, 64).copy()
    image = render(scene)
    painted = np.any([object_mask(t) for t in scene.things], axis=0)
    assert np.array_equal(image[~painted], untouched[~painted])
    assert np.array_equal(background(scene.background, 64), untouched)
    with pytest.raises(ValueError, match="read-only"):
        background(scene.background, 64)[0, 0] = 0


def test_a_mask_lies_in_its_cell_and_order_does_not_matter():
    thing = Thing("square", "red", (1, 2), size="large")
    rows, cols = np.nonzero(object_mask(thing))
    assert (rows.min(), rows.max()) == (20, 33)
    assert (cols.min(), cols.max()) == (46, 59)
    assert cell_centre((1, 2), 64) == (27, 53)
    scene = random_scene(7, fewest=8)
    assert np.array_equal(render(scene), render(replace(scene, things=scene.things[::-1])))


def test_colour_and_outline_are_what_the_scene_says():
    for name, rgb in S.COLOURS.items():
        image = render(Scene("sand", (Thing("square", name, (1, 1), size="large"),)))
        assert tuple(image[27, 32]) == rgb
        assert image[20, 25].max() < 30  # the dark outline


def test_caption_only_touches_the_band():
    scene = Scene("grass", ())
    changed = (render(replace(scene, caption="hello")) != render(scene)).any(-1)
    assert changed[54:].any() and not changed[:54].any()
    assert np.array_equal(render(replace(scene, caption="hello")), render(replace(scene, caption="HELLO")))


def test_photo_edits():
    image = render(random_scene(1))
    assert grade(image, "brighter").mean() > image.mean() > grade(image, "darker").mean()
    gray = grade(image, tone="grayscale")
    assert (gray.max(-1) == gray.min(-1)).all()
    warm = grade(image, tone="warmer").astype(int).mean((0, 1)) - image.mean((0, 1))
    assert warm[0] > 0 > warm[2]
    assert np.array_equal(grade(image), image)
    zoomed = zoom_in(image, "bottom right")
    assert zoomed.shape == image.shape
    assert np.array_equal(zoomed[::2, ::2], image[29:61, 32:64])
    assert np.array_equal(zoomed[::2, ::2], zoomed[1::2, 1::2])
    with pytest.raises(BadInput, match="unknown place"):
        zoom_in(image, "nowhere")
