"""Uploads: what is too large is refused by its head alone, what is no picture with its reason."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from common.errors import BadInput
from experiments.serving.limits import PictureLimits, TooLarge

LIMITS = PictureLimits(max_bytes=100_000, max_pixels=10_000)


def encoded(image: Image.Image, form: str = "PNG", **more: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **more)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_the_bounds_themselves_are_allowed() -> None:
    assert LIMITS.read(encoded(Image.new("RGB", (100, 100)))).rgb.size == (100, 100)
    data = encoded(Image.new("RGB", (4, 4)))
    assert PictureLimits(len(data), 16).read(data).rgb.size == (4, 4)
    for limits in (PictureLimits(len(data) - 1, 16), PictureLimits(len(data), 15)):
        with pytest.raises(TooLarge):
            limits.read(data)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(TooLarge, match="12000x12000 pixels"):
        PictureLimits(100_000, 16_000_000).read(bomb(12_000, 12_000), "bomb.png")


@pytest.mark.parametrize("data", [b"", b"no picture", encoded(Image.new("RGB", (50, 50), "red"))[:60]])
def test_what_is_no_picture_is_refused_with_its_name(data: bytes) -> None:
    with pytest.raises(BadInput, match="^odd.png cannot be used: it is "):
        LIMITS.read(data, "odd.png")


def test_a_picture_is_turned_upright_and_keeps_its_transparency() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    assert LIMITS.read(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=turned)).rgb.size == (20, 40)
    clear = LIMITS.read(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0))))
    assert clear.alpha is not None and clear.rgb.getpixel((0, 0)) == (255, 255, 255)
