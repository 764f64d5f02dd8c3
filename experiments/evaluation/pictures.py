"""Edited pictures as files: lossless, and whole or not there."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image

from common.atomic import atomic_file
from common.errors import BadData, MissingFile
from judges.encoding import with_file

END_OF_PNG = b"IEND\xaeB`\x82"


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG. It is not forced to the disk: a row whose picture a crash lost is made again. Raises SaveFailed."""
    with atomic_file(path, sync=False, shared=True) as file:
        picture.save(file, format="PNG", compress_level=1)


def open_picture(path: Path) -> Image.Image:
    """RGB, decoded when it is first used. Raises MissingFile, or BadData where the file is damaged."""
    try:
        data = path.read_bytes()
        image = Image.open(BytesIO(data))
        if image.mode == "RGB" and data.endswith(END_OF_PNG) and "transparency" not in image.info:
            return with_file(image, data)
        return image.convert("RGB")
    except FileNotFoundError as e:
        raise MissingFile(f"the picture {path} is gone; with its arm named in arms= it is made again") from e
    except OSError as e:
        raise BadData(f"the picture {path} cannot be read ({e}); delete it, and it is made again") from e


__all__ = ["open_picture", "save_picture"]
