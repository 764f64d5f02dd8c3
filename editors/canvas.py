"""Fits pictures to the fixed sizes of a service, padded by repeating the edge, and reads the pictures in its replies."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from PIL import Image

from common.pictures import BadPicture, read_picture
from common.replies import Unusable
from editors.geometry import Fit


def nearest_fit(size: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> Fit:
    """Choose the one of `sizes` that a picture of `size` (width, height) fills best, and centre the picture in it."""
    width, height = size

    def filled(grid: tuple[int, int]) -> float:
        ratio = width / height / (grid[0] / grid[1])
        return min(ratio, 1 / ratio)

    grid = max(sizes, key=filled)
    scale = min(grid[0] / width, grid[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (grid[0] - inner[0]) // 2, (grid[1] - inner[1]) // 2
    return Fit(size, grid, (left, top, left + inner[0], top + inner[1]))


def fill(image: Image.Image, fit: Fit) -> Image.Image:
    """Put the RGB picture in its place in the grid and fill the rest by repeating its edge; `geometry.restore` undoes it."""
    left, top, right, bottom = fit.box
    if image.size != (right - left, bottom - top):
        image = image.resize((right - left, bottom - top), Image.Resampling.LANCZOS)
    if image.size == fit.grid:
        return image
    padding = ((top, fit.grid[1] - bottom), (left, fit.grid[0] - right), (0, 0))
    return Image.fromarray(np.pad(np.asarray(image), padding, mode="edge"))


def decode_base64(text: str) -> bytes:
    """Decode a reply's base64, which may have line breaks. Raises Unusable where it is no base64 or cut short."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:  # also of what is not ASCII
        raise Unusable(f"a picture that is no base64 ({error})") from None


def open_picture(data: bytes) -> Image.Image:
    """Open a reply's picture as RGB. Raises Unusable where the bytes are no picture or cut short."""
    try:
        return read_picture(data).rgb
    except BadPicture as error:
        raise Unusable(f"a picture of {len(data)} bytes that cannot be used: {error}") from None


__all__ = ["decode_base64", "fill", "nearest_fit", "open_picture"]
