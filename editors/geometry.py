"""Any image file to plain RGB, and any size to a model's grid and exactly back: no crop, no drift."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from benchmarks.errors import BadInput, MissingFile

MAX_PIXELS = 200_000_000  # above this a file is more likely a mistake (or an attack) than a picture
MAX_RATIO = 8.0  # longer pictures are padded on their short side before they go to a model


def load_image(path: str | Path) -> Image.Image:
    """The picture in a file as 8-bit RGB, upright (EXIF rotation applied), transparency over white.

    Raises MissingFile where there is no such file and BadInput where it cannot be read, naming it.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(f"there is no image at {path}; check the path")
    if not path.is_file():
        raise BadInput(f"{path} is not a file; give the path of one image")
    if path.stat().st_size == 0:
        raise BadInput(f"the image {path} is empty (0 bytes); save or download it again")
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadInput(
                    f"the image {path} has {image.width}x{image.height} pixels, more than {MAX_PIXELS:,}; make it smaller"
                )
            image.load()
            return to_rgb(image)
    except UnidentifiedImageError:
        raise BadInput(f"{path} is no image that can be read; use PNG, JPEG, WebP, GIF, BMP or TIFF") from None
    except Image.DecompressionBombError:
        raise BadInput(f"the image {path} has far more than {MAX_PIXELS:,} pixels; make it smaller") from None
    except BadInput:
        raise
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow raises on damaged files
        raise BadInput(f"the image {path} is damaged or cut short ({error}); save or download it again") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of any mode, upright, transparency over white, 16-bit and float pictures scaled to 8 bits."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_deep(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """Grey pictures of more than 8 bits: 16-bit integers over 65535, floats over their own maximum (1.0 if below)."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if image.mode == "F":
        top = 1.0 if values.size and values.max() <= 1 else 255.0
    else:
        top = 65535.0 if values.size and values.max() > 255 or image.mode.startswith("I;16") else 255.0
    gray = np.clip(np.rint(values / top * 255), 0, 255).astype(np.uint8)
    return Image.fromarray(gray).convert("RGB")


@dataclass(frozen=True)
class Fit:
    """How a picture was brought to a model's grid: what `restore` needs to undo it."""

    original: tuple[int, int]  # width, height
    grid: tuple[int, int]  # what the model sees
    box: tuple[int, int, int, int]  # left, top, right, bottom of the picture inside the grid; the rest is padding


def grid_size(width: float, height: float, area: int, multiple: int) -> tuple[int, int]:
    """(width, height) in multiples of `multiple` with about `area` pixels (never more than one step above) and nearly the
    same aspect ratio. Raises BadInput for an area smaller than one grid step."""
    if area < multiple * multiple or multiple < 1:
        raise BadInput(f"an area of {area} pixels has no room for a grid of {multiple}; use at least {multiple**2}")
    ratio = width / height
    fitted_width = math.sqrt(area * ratio)
    columns = max(1, round(fitted_width / multiple))
    rows = max(1, round(fitted_width / ratio / multiple))
    return columns * multiple, rows * multiple


def fit_to_grid(image: Image.Image, area: int, multiple: int) -> tuple[Image.Image, Fit]:
    """The whole picture at a size a model takes, and how to undo it. Nothing is cropped; where it is longer than
    MAX_RATIO : 1 its short side is padded by repeating the edge."""
    width, height = image.size
    full = (max(width, height / MAX_RATIO), max(height, width / MAX_RATIO))  # with the padding, at the original scale
    grid = grid_size(*full, area, multiple)
    inner = (max(1, round(grid[0] * width / full[0])), max(1, round(grid[1] * height / full[1])))
    left, top = (grid[0] - inner[0]) // 2, (grid[1] - inner[1]) // 2
    if inner != image.size:
        image = image.resize(inner, Image.Resampling.LANCZOS)
    if inner != grid:
        right, below = grid[0] - inner[0] - left, grid[1] - inner[1] - top
        image = Image.fromarray(np.pad(np.asarray(image), ((top, below), (left, right), (0, 0)), mode="edge"))
    return image, Fit((width, height), grid, (left, top, left + inner[0], top + inner[1]))


def restore(image: Image.Image, fit: Fit) -> Image.Image:
    """A model's result back at the original size, in place. Raises BadInput where the result is not of the size that the
    model was given."""
    if image.size != fit.grid:
        raise BadInput(
            f"the model was given {fit.grid} (width, height) and returned {image.size}; it must keep the size"
        )
    image = image.crop(fit.box)
    return image if image.size == fit.original else image.resize(fit.original, Image.Resampling.LANCZOS)


__all__ = ["Fit", "fit_to_grid", "grid_size", "load_image", "restore", "to_rgb"]
