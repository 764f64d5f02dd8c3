import numpy as np
import pytest
from PIL import Image

from common.alpha import put_back
from common.errors import BadInput, SaveFailed
from common.pictures import Picture, load_picture
from experiments.runs.output_picture import check_writable, output_path, save_edited

RED = (200, 10, 10)


def test_without_out_the_picture_goes_below_outputs():
    assert str(output_path(None, "photos/cat.jpg", "outputs")) == "outputs/edits/cat.png"
    assert str(output_path("x/y.webp", "cat.jpg", "outputs")) == "x/y.webp"


def test_names_that_cannot_be_meant_are_refused(tmp_path):
    for out, needle in (("a.xyz", "the ending"), (str(tmp_path / "a.png"), "the picture itself")):
        with pytest.raises(BadInput, match=needle):
            output_path(out, str(tmp_path / "a.png"), "outputs")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        output_path(str(tmp_path / "folder.png"), "a.png", "outputs")


def test_what_cannot_be_written_is_found_before(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SaveFailed, match=r"out=.*/file/a\.png cannot be written"):
        check_writable(tmp_path / "file" / "a.png")
    (tmp_path / "b_trace").touch()  # where the trace would go
    with pytest.raises(SaveFailed, match=r"b\.png cannot be written"):
        check_writable(tmp_path / "b.png")
    check_writable(tmp_path / "new" / "a.png")
    assert not list((tmp_path / "new").glob("*.png"))


def test_transparency_is_put_back_and_the_result_looks_as_edited(tmp_path):
    """Over white, the picture written is what the editor made, wherever it stands."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (16, 16, 4), dtype=np.uint8)
    pixels[:4, :, 3], pixels[4:8, :, 3] = 0, 255
    Image.fromarray(pixels).save(tmp_path / "given.png")
    given = load_picture(tmp_path / "given.png")
    shown = np.asarray(given.rgb).copy()
    shown[1, 1] = RED  # painted where nothing was
    kept, note = put_back(Image.fromarray(shown), given)
    assert kept.mode == "RGBA" and kept.getpixel((1, 1)) == (*RED, 255) and "transparency is put back" in note
    alpha = np.asarray(kept)[..., 3]
    same = np.ones((16, 16), bool)
    same[1, 1] = False
    assert np.array_equal(alpha[same], pixels[..., 3][same])
    note = save_edited(Image.fromarray(shown), given, tmp_path / "out.png")
    assert note and np.abs(np.asarray(load_picture(tmp_path / "out.png").rgb).astype(int) - shown).max() <= 1
    assert "no transparency" in save_edited(Image.fromarray(shown), given, tmp_path / "out.jpg")
    assert Image.open(tmp_path / "out.jpg").mode == "RGB"


def test_an_opaque_picture_stays_rgb(tmp_path):
    image = Image.new("RGB", (4, 4), RED)
    assert put_back(image, Picture(image)) == (image, "")
    assert save_edited(image, Picture(image), tmp_path / "a.png") == ""
    assert Image.open(tmp_path / "a.png").mode == "RGB"
