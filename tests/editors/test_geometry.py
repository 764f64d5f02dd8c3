import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from common.errors import BadInput
from editors.geometry import fit_to_grid, grid_size, plan_fit, restore

RED = (200, 10, 10)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.sampled_from([4096, 65536]), st.sampled_from([8, 16, 32]))
def test_fit_and_restore(width, height, area, multiple):
    image = Image.new("RGB", (width, height), RED)
    fitted, fit = fit_to_grid(image, area, multiple)
    assert fitted.width % multiple == fitted.height % multiple == 0
    assert fitted.width * fitted.height <= area * 2.25
    back = restore(fitted, fit)
    assert back.size == image.size
    assert np.array_equal(np.asarray(back), np.asarray(image))  # one colour stays one colour, up to the edges


def test_a_picture_on_the_grid_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    fitted, fit = fit_to_grid(Image.fromarray(pixels), 64 * 64, 16)
    assert np.array_equal(np.asarray(restore(fitted, fit)), pixels)


def test_no_crop_and_no_drift():
    """A mark near each edge is still there, at its place, after fitting and restoring."""
    pixels = np.zeros((100, 150, 3), np.uint8)
    for y, x in ((4, 4), (4, 145), (95, 4), (95, 145)):
        pixels[y - 4 : y + 5, x - 4 : x + 5] = 255
    back = np.asarray(restore(*fit_to_grid(Image.fromarray(pixels), 128 * 128, 16)))
    assert np.abs(back.astype(int) - pixels).mean() < 4
    assert back[4, 4].min() > 180 and back[95, 145].min() > 180


def test_very_long_pictures_are_padded_not_stretched():
    fitted, fit = fit_to_grid(Image.new("RGB", (20000, 3), RED), 65536, 16)
    assert max(fitted.size) <= 8.5 * min(fitted.size)
    assert restore(fitted, fit).size == (20000, 3)
    assert grid_size(1, 1, 256, 16) == (16, 16)
    with pytest.raises(BadInput, match="no room"):
        grid_size(5, 5, 100, 16)


def test_a_result_of_the_wrong_size_is_refused():
    _, fit = fit_to_grid(Image.new("RGB", (50, 50)), 4096, 16)
    with pytest.raises(BadInput, match="keep the size"):
        restore(Image.new("RGB", (10, 10)), fit)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(64, 4096),
    st.integers(64, 4096),
    st.sampled_from([(64 * 64, 8), (64 * 64, 16), (256 * 256, 16), (1024 * 1024, 16), (1024 * 1024, 32)]),
)
def test_a_picture_keeps_its_ratio_on_every_grid(width, height, grid):
    area, multiple = grid
    fit = plan_fit(width, height, area, multiple)
    left, top, right, below = fit.box
    assert 0 <= left < right <= fit.grid[0] and 0 <= top < below <= fit.grid[1]
    assert fit.grid[0] % multiple == fit.grid[1] % multiple == 0
    assert fit.grid[0] * fit.grid[1] <= 1.15 * area
    assert max(fit.grid) <= 8 * min(fit.grid)
    if max(width, height) <= 13.7 * min(width, height):
        assert abs((right - left) / (below - top) / (width / height) - 1) < 0.01
    turned = plan_fit(height, width, area, multiple)
    assert turned.grid == fit.grid[::-1]  # lying down it is treated as standing up


def test_the_working_grid_is_the_familiar_one_for_familiar_sizes():
    assert plan_fit(64, 64, 64 * 64, 8).box == (0, 0, 64, 64)
    assert plan_fit(1024, 1024, 1024 * 1024, 32).box == (0, 0, 1024, 1024)
    assert plan_fit(1248, 832, 1024 * 1024, 32).box == (0, 0, 1248, 832)
    assert plan_fit(512, 512, 1024 * 1024, 16).grid == (1024, 1024)


def test_a_model_may_name_its_grids():
    grids = ((1024, 1024), (832, 1248), (1248, 832))
    fit = plan_fit(1000, 700, 1024 * 1024, 16, grids)
    assert fit.grid == (1248, 832)
    left, top, right, below = fit.box
    assert abs((right - left) / (below - top) / (1000 / 700) - 1) < 0.01 and below - top == 832
