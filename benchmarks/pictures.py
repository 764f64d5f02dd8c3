"""Pictures that are read only when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from common.errors import BadData, MissingFile
from common.files import read_bytes
from common.pictures import BadPicture, read_mask, read_picture


def decode(data: bytes, where: str, mode: str | None = "RGB") -> Image.Image:
    """The picture in an encoded file. "RGB" is what is shown, as `common.pictures.read_picture` has it; another mode is that of a
    mask, whose values are no colours (`read_mask`); None leaves a mask's own.

    Raises BadData naming `where`, if the bytes are no whole picture.
    """
    try:
        return read_picture(data).rgb if mode == "RGB" else read_mask(data, mode)
    except BadPicture as error:
        raise BadData(f"{where}: not a readable picture ({error}); get this file or row again") from None


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
        return read_bytes(path)
    except OSError as error:
        raise MissingFile(f"{where}: the picture {path} cannot be read ({error.strerror or error})") from error


__all__ = ["PictureFile", "decode", "read"]
