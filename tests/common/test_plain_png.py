"""Plain PNG files are read without Pillow's reader: they show what it shows, and everything else is left to it."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, PngImagePlugin

from common.pictures import BadPicture, open_plain, read_picture
from common.plain_png import MAGIC, UndecodedPicture, kept_file, read_plain_png

LIMIT = 10_000


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values // 64 * 64)


def saved(image: Image.Image, **how) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **how)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def by_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 9), st.integers(1, 300))
def test_it_shows_what_pillow_shows_whatever_the_compression_and_the_pieces(width, height, level, piece) -> None:
    data = saved(noise(width, height), compress_level=level)
    at = data.index(b"IDAT")
    size = int.from_bytes(data[at - 4 : at], "big")
    packed = data[at + 4 : at + 4 + size]
    pieces = b"".join(chunk(b"IDAT", packed[i : i + piece]) for i in range(0, size, piece))
    cut_up = data[: at - 4] + pieces + data[at + 8 + size :]
    for file in (data, cut_up):
        png = read_plain_png(file, LIMIT)
        assert png is not None and png.size == (width, height) and png.bare == file
        assert np.array_equal(np.asarray(png.decode()), by_pillow(data))
        assert np.array_equal(np.asarray(UndecodedPicture(png)), by_pillow(data))


def test_what_is_no_pixels_is_not_in_the_bare_file() -> None:
    data = saved(noise(5, 4), dpi=(72, 72))
    png = read_plain_png(data, LIMIT)
    assert png is not None and b"pHYs" in data and b"pHYs" not in png.bare
    assert np.array_equal(by_pillow(png.bare), by_pillow(data)) and read_plain_png(png.bare, LIMIT) is not None


def test_every_other_file_is_left_to_the_general_reader() -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("parameters", "a prompt that no judge shall read")
    plain = saved(noise(5, 4))
    end = len(plain) - 12
    interlaced = MAGIC + chunk(b"IHDR", struct.pack(">II5B", 5, 4, 8, 2, 0, 0, 1)) + plain[33:]
    others = {
        "text": saved(noise(5, 4), pnginfo=words),
        "grey": saved(noise(5, 4).convert("L")),
        "palette": saved(noise(5, 4).convert("P")),
        "alpha": saved(noise(5, 4).convert("RGBA")),
        "one colour is transparent": saved(noise(5, 4), transparency=(0, 0, 0)),
        "interlaced": interlaced,
        "cut": plain[:-1],
        "more behind it": plain + b"x",
        "two heads": plain[:33] + plain[8:33] + plain[33:],
        "no pixels": plain[:33] + plain[end:],
        "a wrong checksum": plain[:16] + bytes([plain[16] ^ 1]) + plain[17:],
        "a length beyond the end": plain[:33] + b"\xff\xff\xff\xff" + plain[37:],
        "nothing": b"",
        "the mark alone": MAGIC,
    }
    for name, data in others.items():
        assert read_plain_png(data, LIMIT) is None and open_plain(data) is None, name
    assert read_plain_png(saved(noise(101, 100)), LIMIT) is None  # more than the limit


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_file_shows_the_same_as_by_pillow_or_is_refused(data) -> None:
    """One byte is changed: wherever it is, there are no pixels that Pillow would not show."""
    file = bytearray(saved(noise(9, 7)))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= data.draw(st.integers(1, 255))
    try:
        shown = np.asarray(read_picture(bytes(file)).rgb)
    except BadPicture:
        return
    assert np.array_equal(shown, by_pillow(bytes(file)))


def test_data_that_end_too_early_are_damage_and_said_so() -> None:
    head = chunk(b"IHDR", struct.pack(">II5B", 5, 4, 8, 2, 0, 0, 0))
    packed = zlib.compress(bytes(range(64)))
    short = MAGIC + head + chunk(b"IDAT", packed[:20]) + chunk(b"IEND", b"")
    with pytest.raises(BadPicture, match="damaged or cut short"):
        read_picture(short)
    opened = open_plain(short)
    assert opened is not None and opened.size == (5, 4)
    with pytest.raises(OSError, match="truncated"):
        opened.load()


def test_the_file_is_at_hand_until_somebody_draws_on_the_picture() -> None:
    data = saved(noise(6, 6))
    changes = (
        lambda i: i.putpixel((0, 0), (1, 1, 1)),
        lambda i: i.paste((1, 1, 1), (0, 0, 2, 2)),
        lambda i: i.putalpha(3),
        lambda i: i.thumbnail((3, 3)),
        lambda i: ImageDraw.Draw(i).line((0, 0, 5, 5)),
    )
    for change in changes:
        image = read_picture(data).rgb
        assert kept_file(image) == data
        assert kept_file(image.copy()) is None and kept_file(image.resize((6, 6))) is None
        change(image)
        assert kept_file(image) is None
