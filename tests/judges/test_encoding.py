"""How pictures are sent, and what they are told apart by."""

from __future__ import annotations

import base64
import gc
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from common.errors import BadInput
from common.pictures import read_picture
from judges.encoding import Pictures, content_part, encode, file_of, prepare, with_file
from judges.question import Encoding


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(width * height).integers(0, 256, (height, width, bands), dtype=np.uint8)
    return Image.fromarray(values.squeeze(-1) if bands == 1 else values, mode)


@settings(deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 100))
def test_a_picture_is_made_smaller_to_the_longest_side_and_never_larger(width, height, longest):
    shown = prepare(noise(width, height), Encoding(longest=longest))
    assert max(shown.size) == min(longest, max(width, height))
    if max(width, height) > longest:  # within half a pixel of the aspect ratio, at least one pixel
        scale = longest / max(width, height)
        assert all(abs(s - max(1, g * scale)) <= 0.5 for s, g in zip(shown.size, (width, height), strict=True))


def test_png_is_lossless_and_jpeg_is_jpeg():
    image = noise(20, 30)
    mime, data = encode(image, Encoding())
    assert mime == "image/png" and np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(image))
    mime, data = encode(image, Encoding(format="jpeg", quality=95))
    assert mime == "image/jpeg" and Image.open(io.BytesIO(data)).format == "JPEG"
    assert len(data) > len(encode(image, Encoding(format="jpeg", quality=40))[1])
    with pytest.raises(BadInput, match="webp"):
        encode(image, Encoding(format="webp"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb_with_transparency_over_white(mode):
    image = noise(6, 4).convert("RGB")
    image = Image.fromarray(np.full((4, 6), 40000, np.uint16)) if mode == "I;16" else image.convert(mode)
    for fmt in ("png", "jpeg"):
        assert Image.open(io.BytesIO(encode(image, Encoding(format=fmt))[1])).mode == "RGB"
    clear = Image.new("RGBA", (3, 3), (9, 9, 9, 0))
    assert np.asarray(prepare(clear, Encoding())).min() == 255


def test_the_part_of_the_message_is_json_with_a_data_url():
    part = json.loads(content_part(noise(5, 5), Encoding(detail="high")))
    head, _, data = part["image_url"]["url"].partition(",")
    assert part["type"] == "image_url" and part["image_url"]["detail"] == "high" and head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (5, 5)
    assert "detail" not in json.loads(content_part(noise(5, 5), Encoding()))["image_url"]


def test_pictures_are_known_by_their_pixels():
    pictures = Pictures()
    digests = [pictures.digest(i) for i in (noise(6, 4), noise(6, 4), noise(4, 6), noise(6, 4).convert("L"))]
    assert digests[0] == digests[1] and len(set(digests)) == 3
    red, blue = (Image.new("P", (4, 4)) for _ in range(2))
    red.putpalette([255, 0, 0])
    blue.putpalette([0, 0, 255])  # the same indices, another palette
    assert pictures.digest(red) != pictures.digest(blue)


def test_a_picture_is_encoded_once_and_forgotten_with_its_object(monkeypatch):
    count = []
    monkeypatch.setattr("judges.encoding.content_part", lambda *a: count.append(a[1]) or content_part(*a))
    pictures, image = Pictures(held=2), noise(6, 4)
    assert pictures.part(image, Encoding()) == pictures.part(image, Encoding()) and len(count) == 1
    pictures.part(image, Encoding(detail="low"))
    assert len(count) == 2
    others = [noise(7, k) for k in (3, 4)]
    for other in others:
        pictures.part(other, Encoding())
    pictures.part(image, Encoding())  # two others came since: its files were let go
    assert len(count) == 5
    del image, other, others
    gc.collect()
    assert len(pictures._known) == 0


def test_a_file_that_is_known_is_sent_as_it_is_and_only_where_the_protocol_would_send_the_same_pixels() -> None:
    picture = Image.linear_gradient("L").resize((20, 10)).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=9)
    opened = with_file(Image.open(io.BytesIO(file.getvalue())), file.getvalue())
    assert encode(opened, Encoding("png")) == ("image/png", file.getvalue())
    for other in (Encoding("jpeg"), Encoding("png", longest=8)):
        assert encode(opened, other) == encode(picture, other)
    assert file_of(opened.resize((5, 5))) is None and file_of(opened.copy()) is None


def test_a_source_that_is_a_plain_png_is_sent_as_its_own_file_and_named_by_its_pixels() -> None:
    """So that no reply that is kept is lost: the key is that of the same pixels from any other file."""
    file = io.BytesIO()
    noise(20, 10).save(file, "PNG", compress_level=9)
    source = read_picture(file.getvalue()).rgb
    assert encode(source, Encoding("png")) == ("image/png", file.getvalue())
    assert Pictures().digest(source) == Pictures().digest(noise(20, 10))
    for other in (Encoding("jpeg"), Encoding("png", longest=8)):
        assert encode(source, other) == encode(noise(20, 10), other)
    ImageDraw.Draw(source).rectangle((0, 0, 5, 5), fill=(1, 2, 3))
    sent = Image.open(io.BytesIO(encode(source, Encoding("png"))[1]))
    assert np.array_equal(np.asarray(sent), np.asarray(source)) and sent.getpixel((0, 0)) == (1, 2, 3)


def test_threads_that_want_the_same_picture_encode_it_once(monkeypatch) -> None:
    count: list[str] = []
    start = threading.Barrier(8)

    def slow(*args) -> bytes:
        count.append("part")
        return content_part(*args)

    monkeypatch.setattr("judges.encoding.content_part", slow)
    pictures, image = Pictures(), noise(300, 300)

    def one(_: int) -> tuple[bytes, bytes]:
        start.wait()
        return pictures.digest(image), pictures.part(image, Encoding())

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(one, range(8)))) == 1
    assert count == ["part"]
