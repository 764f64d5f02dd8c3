"""PNG files that hold 8-bit RGB pixels and nothing else: they are decoded, named and sent without a general reader.

Most pictures that an evaluation meets are of this kind, and Pillow's own way to open one costs more than its decoding.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

from PIL import Image

MAGIC = b"\x89PNG\r\n\x1a\n"
NEEDED = {b"IHDR", b"IDAT", b"IEND"}
PLAIN = NEEDED | {b"pHYs", b"tIME", b"sRGB"}  # text may hold EXIF data, so that it is not plain
RGB_8 = (8, 2, 0, 0, 0)  # bits, colour type, compression, filter, interlacing
_HEAD = struct.Struct(">I4s")
_IHDR = struct.Struct(">II5B")


@dataclass(frozen=True, slots=True)
class PlainPng:
    """A whole file without transparency, profile, EXIF data, text or further frames; of its pixels only the size is known."""

    data: bytes
    size: tuple[int, int]  # width and height
    chunks: tuple[tuple[bytes, int, int], ...]  # kind, begin and end of its content in `data`

    def decode(self) -> Image.Image:
        """The pixels. Raises ValueError where the compressed data are damaged or too few."""
        packed = [self.data[begin:end] for kind, begin, end in self.chunks if kind == b"IDAT"]
        return Image.frombytes("RGB", self.size, packed[0] if len(packed) == 1 else b"".join(packed), "zip", "RGB")

    @property
    def bare(self) -> bytes:
        """The file without what is no pixels: its resolution and its time."""
        if all(kind in NEEDED for kind, _, _ in self.chunks):
            return self.data
        return MAGIC + b"".join(self.data[begin - 8 : end + 4] for kind, begin, end in self.chunks if kind in NEEDED)


def read_plain_png(data: bytes, max_pixels: int) -> PlainPng | None:
    """None for any other file, for a larger picture, and for one that is not whole. Nothing is decoded: of the pixels only the
    place is looked at, of everything else the checksum too."""
    if not data.startswith(MAGIC):
        return None
    at, last, chunks = len(MAGIC), len(data) - 12, []
    while at <= last:
        length, kind = _HEAD.unpack_from(data, at)
        end = at + 8 + length
        if kind not in PLAIN or end > last + 8:
            return None
        if kind != b"IDAT" and zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return None
        chunks.append((kind, at + 8, end))
        at = end + 4
        if kind == b"IEND":
            break
    if at != len(data) or len(chunks) < 3 or chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND":
        return None
    if chunks[0][2] - chunks[0][1] != _IHDR.size or not _one_picture([kind for kind, _, _ in chunks]):
        return None
    width, height, *form = _IHDR.unpack_from(data, chunks[0][1])
    if tuple(form) != RGB_8 or not 0 < width * height <= max_pixels:
        return None
    return PlainPng(data, (width, height), tuple(chunks))


def _one_picture(kinds: list[bytes]) -> bool:
    """One head, and pixels in one row of chunks."""
    first, count = (kinds.index(b"IDAT"), kinds.count(b"IDAT")) if b"IDAT" in kinds else (0, 0)
    return count > 0 and kinds.count(b"IHDR") == 1 and kinds[first : first + count] == [b"IDAT"] * count


class UndecodedPicture(Image.Image):
    """The picture of a plain PNG, decoded when its pixels are first used."""

    format = "PNG"
    _png: PlainPng | None = None  # None in a copy that was unpickled

    def __init__(self, png: PlainPng) -> None:
        super().__init__()
        self._mode, self._size, self._png = "RGB", png.size, png

    def load(self) -> Any:
        """Raises OSError where the compressed data are damaged, as Pillow's own pictures do."""
        png = self._png
        if png is not None and self._im is None:
            try:
                self.im = png.decode().im
            except ValueError as error:
                raise OSError(f"image file is damaged or truncated ({error})") from None
        return super().load()


def keep_file(image: Image.Image, png: PlainPng) -> Image.Image:
    """`image`, the decoded pixels of `png`, with the file at hand for those who would encode it again."""
    image.plain_file = png.bare  # type: ignore[attr-defined]  # copies and resized versions do not have it
    image.readonly = 1  # Pillow takes it away with the first change, also that of a drawing
    return image


def kept_file(image: Image.Image) -> bytes | None:
    """A PNG file of exactly these pixels and nothing else, where one is at hand and nobody has drawn on the picture since."""
    file: bytes | None = getattr(image, "plain_file", None)
    return file if file is not None and image.readonly else None


__all__ = ["PlainPng", "UndecodedPicture", "keep_file", "kept_file", "read_plain_png"]
