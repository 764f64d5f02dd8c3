"""One reader of pictures: every door shows the same pixels."""

import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from benchmarks.pictures import decode
from common import pictures
from common.errors import BadData, BadInput, MissingFile
from common.pictures import BadPicture, load_image, notes_of, open_plain, read_picture, to_rgb
from common.plain_png import MAGIC
from common.replies import Unusable
from editors.canvas import open_picture as from_reply
from experiments.evaluation.makers import from_file

ROOT = Path(__file__).parents[2]
RED, GREEN, SAND = (200, 10, 10), (10, 200, 10), (200, 120, 90)


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
    with pytest.raises(BadInput, match=r"empty.png cannot be used: it is empty \(0 bytes\)"):
        load_image(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(BadInput, match="text.png cannot be used: it is no picture"):
        load_image(tmp_path / "text.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("cut.png", "cut.jpg"):
        Image.fromarray(noise).save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BadInput, match=name):
            load_image(tmp_path / name)


def profile(red=(0.68, 0.32), green=(0.265, 0.69), blue=(0.15, 0.06), gamma=2.2) -> bytes:
    """An ICC profile (version 2, matrix and curves) with these primaries and the white of D65; Display P3's by default."""
    white = xyz(0.3127, 0.329)
    matrix = np.array([xyz(*red), xyz(*green), xyz(*blue)]).T
    matrix = matrix * np.linalg.solve(matrix, white)
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50 = np.array([0.9642, 1.0, 0.8249])
    adapted = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ white)) @ bradford @ matrix

    def fixed(values) -> bytes:
        return b"".join(int(round(v * 65536)).to_bytes(4, "big", signed=True) for v in values)

    text = b"made for a test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + len(text).to_bytes(4, "big") + text + bytes(12 + 67),
        b"cprt": b"text\0\0\0\0" + text,
        b"wtpt": b"XYZ \0\0\0\0" + fixed(d50),
        **{k: b"XYZ \0\0\0\0" + fixed(adapted[:, i]) for i, k in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **{k: b"curv\0\0\0\0\0\0\0\1" + int(gamma * 256).to_bytes(2, "big") for k in (b"rTRC", b"gTRC", b"bTRC")},
    }
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + at.to_bytes(4, "big") + len(data).to_bytes(4, "big")
        data += bytes(-len(data) % 4)
        body, at = body + data, at + len(data)
    head = bytes(4) + b"\x02\x10\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28) + fixed(d50) + bytes(48)
    return at.to_bytes(4, "big") + head + len(tags).to_bytes(4, "big") + table + body


def p3_in_srgb(colour) -> tuple[int, ...]:
    """By the definitions of both spaces (primaries, white of D65, gamma 2.2 in the profile above, IEC 61966-2-1 for sRGB)."""
    spaces = []
    for primaries in ([(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)], [(0.64, 0.33), (0.3, 0.6), (0.15, 0.06)]):
        matrix = np.array([xyz(*p) for p in primaries]).T
        spaces.append(matrix * np.linalg.solve(matrix, xyz(0.3127, 0.329)))
    linear = np.linalg.solve(spaces[1], spaces[0] @ (np.array(colour) / 255) ** 2.2)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055)
    return tuple(int(v) for v in (255 * curved).clip(0, 255).round())


def xyz(x, y):
    return np.array([x / y, 1, (1 - x - y) / y])


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def doors(data: bytes, folder: Path) -> dict[str, Image.Image]:
    """The same file through every way into the project."""
    path = folder / "picture.png"
    path.write_bytes(data)
    return {
        "command": load_image(path),
        "benchmark": decode(data, "here"),
        "service": from_reply(data),
        "result": from_file(path).picture,
        "opened by the caller": to_rgb(Image.open(io.BytesIO(data))),
    }


def cases() -> dict[str, tuple[bytes, tuple[int, int, int]]]:
    """File and the colour of its pixel at the top left."""
    turned = Image.Exif()
    turned[0x0112] = 3
    half = Image.new("RGB", (2, 2), RED)
    half.putpixel((1, 1), GREEN)
    hidden = Image.new("RGBA", (2, 2), (*RED, 0))
    deep = Image.fromarray(np.full((2, 2), 32896, np.uint16))
    return {
        "EXIF": (saved(half, exif=turned), GREEN),
        "hidden colours": (saved(hidden), (255, 255, 255)),
        "16 bits": (saved(deep), (128, 128, 128)),
        "16 bits, TIFF": (saved(deep, "TIFF"), (128, 128, 128)),
        "Display P3, a colour outside sRGB": (
            saved(Image.new("RGB", (2, 2), (0, 255, 0)), icc_profile=profile()),
            (0, 255, 0),
        ),
        "Display P3, a colour that sRGB has": (
            saved(Image.new("RGB", (2, 2), SAND), icc_profile=profile()),
            p3_in_srgb(SAND),
        ),
        "grey with alpha": (saved(Image.new("LA", (2, 2), (0, 51))), (204, 204, 204)),
        "palette": (saved(half.quantize(2)), RED),
        "CMYK": (saved(Image.new("CMYK", (2, 2), (255, 0, 255, 0)), "TIFF"), (0, 255, 0)),
    }


@pytest.mark.parametrize("name", cases())
def test_every_door_shows_the_same_pixels(name, tmp_path):
    data, wanted = cases()[name]
    shown = doors(data, tmp_path)
    for door, image in shown.items():
        assert image.mode == "RGB", door
        assert np.abs(np.subtract(image.getpixel((0, 0)), wanted)).max() <= 3, (door, image.getpixel((0, 0)))
        assert np.array_equal(np.asarray(image), np.asarray(shown["command"])), door
        assert "icc_profile" not in saved(image).decode("latin-1") and b"iCCP" not in saved(image), door


def test_profiles_of_srgb_leave_every_bit(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kept in (own, b"no profile at all", profile()[:90]):  # a damaged one is passed over
        assert np.array_equal(np.asarray(read_picture(saved(Image.fromarray(pixels), icc_profile=kept)).rgb), pixels)
    moved = np.asarray(read_picture(saved(Image.fromarray(pixels), icc_profile=profile())).rgb)
    assert np.abs(moved.astype(int) - pixels).max() > 10


def test_of_an_animation_the_first_frame_is_taken_and_said():
    frames = [Image.new("RGB", (4, 4), c) for c in (RED, GREEN, (0, 0, 0))]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        picture = read_picture(data)
        assert picture.rgb.getpixel((1, 1)) == RED, kind
        assert picture.notes == ("the picture has 3 frames; the first one is taken",), kind
        assert notes_of(to_rgb(picture.rgb)) == picture.notes
    assert read_picture(saved(frames[0])).notes == ()
    with pytest.raises(BadPicture):
        read_picture(saved(frames[0], "PNG", save_all=True, append_images=frames[1:])[:60])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["RGBA", "LA"]))
def test_alpha_is_kept_beside_what_is_shown(seed, mode):
    rng = np.random.default_rng(seed)
    bands = {"RGBA": 4, "LA": 2}[mode]
    pixels = rng.integers(0, 256, (3, 5, bands), dtype=np.uint8)
    picture = read_picture(saved(Image.fromarray(pixels, mode)))
    alpha = pixels[..., -1:] / 255
    shown = pixels[..., :-1] * alpha + 255 * (1 - alpha)
    assert np.abs(np.asarray(picture.rgb) - shown).max() <= 1
    assert picture.alpha is not None and np.array_equal(np.asarray(picture.alpha), pixels[..., -1])


def test_opaque_pictures_have_no_alpha():
    assert read_picture(saved(Image.new("RGBA", (2, 2), (*RED, 255)))).alpha is None
    assert read_picture(saved(Image.new("RGB", (2, 2), RED))).alpha is None


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "zeroed", "too large"])
def test_what_cannot_be_read_is_named_at_every_door(damage, tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise))
    if damage == "too large":
        monkeypatch.setattr(pictures, "MAX_PIXELS", 64 * 64 - 1)
    data = {"empty": b"", "text": b"hello", "cut": data[:300], "zeroed": data[:200] + bytes(200) + data[400:]}.get(
        damage, data
    )
    path = tmp_path / "result-7.png"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"result-7\.png"):
        load_image(path)
    with pytest.raises(BadData, match="row 7"):
        decode(data, "row 7")
    with pytest.raises(Unusable):
        from_reply(data)
    made = from_file(path)
    assert made.picture is None and "result-7.png" in made.failure and "\n" not in made.failure


def test_the_limit_of_pixels_is_ours(monkeypatch):
    """Pillow's own warns on stderr, then refuses below ours."""
    data = saved(Image.new("1", (12_000, 9_000)))  # 108 million pixels
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        assert Image.MAX_IMAGE_PIXELS == pictures.MAX_PIXELS
        assert pictures._header(data).size == (12_000, 9_000)
    with pytest.raises(BadPicture, match="20000x20000 pixels, more than 200,000,000"):
        pictures._header(bare_png(20_000, 20_000))
    with pytest.raises(BadPicture, match="more than 200,000,000"):
        pictures._header(bare_png(60_000, 60_000))


def bare_png(width: int, height: int) -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return MAGIC + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_own_files_are_not_decoded_before_they_are_used():
    plain = saved(Image.new("RGB", (4, 4), RED))
    opened = open_plain(plain)
    assert opened is not None and opened.getpixel((0, 0)) == RED
    turned = Image.Exif()
    turned[0x0112] = 3
    for other in (
        saved(Image.new("RGB", (4, 4)), exif=turned),
        saved(Image.new("RGB", (4, 4)), icc_profile=profile()),
        saved(Image.new("RGBA", (4, 4))),
        saved(Image.new("RGB", (4, 4)), "BMP"),
        plain + b"more",
        plain[:-4],
    ):
        assert open_plain(other) is None


def test_nobody_else_opens_pictures():
    """Every `Image.open` of the project is in the one reader."""
    tops = ("agents", "benchmarks", "common", "editors", "experiments", "judges", "rewards", "rl")
    places = [p for top in tops for p in (ROOT / top).rglob("*.py")]
    opens = re.compile(r"\bImage\.open\(|\bexif_transpose\(")
    assert [p for p in places if opens.search(p.read_text(encoding="utf-8"))] == [ROOT / "common" / "pictures.py"]
