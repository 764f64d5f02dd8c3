import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from common.errors import BadInput, MissingFile
from editors.geometry import fit_to_grid, grid_size, load_image, plan_fit, restore, to_rgb

RED, GREEN = (200, 10, 10), (10, 200, 10)


def test_plain_files_come_back_as_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    for name in ("a.png", "a.bmp", "a.tiff"):
        Image.fromarray(pixels).save(tmp_path / name)
        loaded = load_image(tmp_path / name)
        assert loaded.mode == "RGB"
        assert np.array_equal(np.asarray(loaded), pixels)


def test_exif_rotation_is_applied(tmp_path):
    image = Image.new("RGB", (4, 2), RED)
    image.putpixel((0, 0), GREEN)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show
    image.save(tmp_path / "turned.png", exif=exif)
    loaded = load_image(tmp_path / "turned.png")
    assert loaded.size == (2, 4)
    assert loaded.getpixel((1, 0)) == GREEN


def test_alpha_over_white(tmp_path):
    image = Image.new("RGBA", (2, 1), (*RED, 255))
    image.putpixel((1, 0), (*RED, 0))
    image.save(tmp_path / "a.png")
    loaded = load_image(tmp_path / "a.png")
    assert [loaded.getpixel((x, 0)) for x in (0, 1)] == [RED, (255, 255, 255)]
    image.convert("LA").save(tmp_path / "la.png")
    assert load_image(tmp_path / "la.png").getpixel((1, 0)) == (255, 255, 255)
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([*RED, *GREEN])
    palette.save(tmp_path / "p.png", transparency=0)
    assert load_image(tmp_path / "p.png").getpixel((0, 0)) == (255, 255, 255)


def test_other_modes(tmp_path):
    palette = Image.new("P", (1, 1), 1)
    palette.putpalette([*RED, *GREEN])
    palette.save(tmp_path / "p.png")
    assert load_image(tmp_path / "p.png").getpixel((0, 0)) == GREEN
    Image.new("CMYK", (3, 3), (0, 255, 255, 0)).save(tmp_path / "c.jpg")
    red, green, blue = load_image(tmp_path / "c.jpg").getpixel((1, 1))
    assert red > 200 and green < 60 and blue < 60
    Image.new("1", (2, 2), 1).save(tmp_path / "bit.png")
    assert load_image(tmp_path / "bit.png").getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_keep_their_tones(tmp_path):
    ramp = np.linspace(0, 65535, 16, dtype=np.uint16).reshape(4, 4)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    loaded = np.asarray(load_image(tmp_path / "deep.png"))[..., 0]
    assert np.abs(loaded.astype(int) - np.rint(ramp / 257)).max() <= 1
    assert to_rgb(Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))).getpixel((1, 0)) == (128, 128, 128)


@pytest.mark.parametrize("size", [(1, 1), (20000, 3)])
def test_extreme_sizes_load(tmp_path, size):
    Image.new("RGB", size, RED).save(tmp_path / "x.png")
    assert load_image(tmp_path / "x.png").size == size


def test_bad_files_are_named(tmp_path):
    with pytest.raises(MissingFile, match="none.png"):
        load_image(tmp_path / "none.png")
    with pytest.raises(BadInput, match="not a file"):
        load_image(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(BadInput, match="empty.png is empty"):
        load_image(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(BadInput, match="text.png is no image"):
        load_image(tmp_path / "text.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("cut.png", "cut.jpg"):
        Image.fromarray(noise).save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BadInput, match=name):
            load_image(tmp_path / name)


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
