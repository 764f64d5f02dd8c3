"""Edited pictures as files: lossless, and whole or not there."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from common.atomic import atomic_file
from common.errors import BadData, MissingFile
from common.files import read_bytes
from common.pictures import BadPicture, open_plain, read_picture
from judges.encoding import with_file


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG. It is not forced to the disk: a row whose picture a crash lost is made again. Raises SaveFailed."""
    with atomic_file(path, sync=False, shared=True) as file:
        picture.save(file, format="PNG", compress_level=1)


def open_picture(path: str | Path) -> Image.Image:
    """One of the pictures that `save_picture` wrote: RGB, decoded when it is first used. Raises MissingFile, or BadData where the
    file is damaged."""
    try:
        data = read_bytes(path)
        plain = open_plain(data)
        return read_picture(data).rgb if plain is None else with_file(plain, data)
    except FileNotFoundError as e:
        raise MissingFile(f"the picture {path} is gone; with its arm named in arms= it is made again") from e
    except (BadPicture, OSError) as e:
        raise BadData(f"the picture {path} cannot be used: {e}; delete it, and it is made again") from e


__all__ = ["open_picture", "save_picture"]
