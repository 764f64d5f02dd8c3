"""Pictures that are read only when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from common.errors import BadData, MissingFile


def decode(data: bytes, where: str, mode: str | None = "RGB") -> Image.Image:
    """The picture in an encoded file, upright (EXIF orientation applied) and in `mode`; None leaves the mode as it is.

    Raises BadData naming `where`, if the bytes are no whole picture.
    """
    try:
        with Image.open(BytesIO(data)) as opened:
            upright = ImageOps.exif_transpose(opened)
            upright.load()
            return upright if mode is None else upright.convert(mode)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        why = "of no known format" if isinstance(error, UnidentifiedImageError) else error  # which would name a buffer
        raise BadData(f"{where}: not a readable picture ({why}); get this file or row again") from error


@dataclass(frozen=True)
class PictureFile:
    """A picture in a file of its own (an `Opens`). Raises MissingFile, BadData."""

    path: Path
    where: str  # who names it, e.g. "requests.csv:3, column image"
    mode: str = "RGB"

    def __call__(self) -> Image.Image:
        return decode(read(self.path, self.where), f"{self.where}: {self.path}", self.mode)


def read(path: Path, where: str) -> bytes:
    """The bytes of a picture file; MissingFile says who names it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingFile(f"{where}: the picture {path} cannot be read ({error.strerror or error})") from error


__all__ = ["PictureFile", "decode", "read"]
