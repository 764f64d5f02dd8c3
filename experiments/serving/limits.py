"""How large an uploaded picture may be. It is known from a file's head, before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import BadInput
from common.pictures import BadPicture, Picture, picture_size, read_picture

MB = 1_000_000


class TooLarge(BadInput):
    """The file, or its picture, is larger than this service takes."""


@dataclass(frozen=True)
class PictureLimits:
    """`max_bytes` of the file, `max_pixels` of the picture in it."""

    max_bytes: int
    max_pixels: int

    def read(self, data: bytes, name: str = "the file") -> Picture:
        """The picture in an uploaded file: upright, 8-bit sRGB over white, its transparency beside it (`common/pictures.py`).

        Raises TooLarge, and BadInput for what is no picture or a damaged one; both say which file by `name`.
        """
        if len(data) > self.max_bytes:
            raise TooLarge(
                f"{name} has {len(data) / MB:.1f} MB, and {self.max_bytes / MB:g} MB are allowed; make it smaller"
            )
        try:
            width, height = picture_size(data)
            if width * height > self.max_pixels:
                raise TooLarge(
                    f"{name} has {width}x{height} pixels, and {self.max_pixels:,} in all are allowed; make it smaller"
                )
            return read_picture(data)
        except BadPicture as error:
            raise BadInput(f"{name} cannot be used: {error}") from None


__all__ = ["MB", "PictureLimits", "TooLarge"]
