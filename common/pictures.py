"""The one reader of picture files: whoever meets one, a benchmark, an editor, an evaluation or a command, sees the same pixels.

Upright (EXIF orientation applied), 8 bits, sRGB (an embedded ICC profile is applied, CMYK and Lab are converted), transparency over
white. Of an animation the first frame is taken, and a note says so.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from common.errors import BadData, BadInput, MissingFile
from common.plain_png import UndecodedPicture, keep_file, read_plain_png

MAX_PIXELS = 200_000_000  # a larger file is more likely a mistake or an attack than a picture
# EPS would start another program, and icons hold several pictures, so neither is read
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000", "TGA")
STILL = ("MPO",)  # a photograph that holds its preview or its depth map as a second picture is no animation
NOTES = "notes"  # key of a picture's `info`: a tuple of sentences about what could not be taken over
ORIENTATION = 0x0112  # EXIF
DAMAGE: tuple[type[Exception], ...] = (  # what Pillow and littlecms raise on damaged files
    *(OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, ArithmeticError),
    *(struct.error, zlib.error, Image.DecompressionBombError, ImageCms.PyCMSError),
)
SAME_COLOURS = 2  # grey levels (of 255) by which a profile may move a colour and still be sRGB

# Pillow's own limit warns on stderr from 89 million pixels on, and its second one lies below ours.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class BadPicture(BadData):
    """The bytes of a file are no picture, or not a whole one. The message says why and leaves out which file it is."""


@dataclass(frozen=True)
class Picture:
    """What a file shows: `rgb` over white, and its `alpha` (mode L, 255 is opaque) where anything is transparent."""

    rgb: Image.Image
    alpha: Image.Image | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        return notes_of(self.rgb)


def read_picture(data: bytes) -> Picture:
    """The picture in an encoded file; see the top of this file. Raises BadPicture."""
    if (plain := _plain(data)) is not None:
        return plain
    with _opened(data) as image:
        notes = _frames(image)
        image = _upright(image)
        alpha = _alpha(image)
        return Picture(_over_white(image, alpha, notes), alpha)


def read_mask(data: bytes, mode: str | None) -> Image.Image:
    """A file whose values are no colours (a mask): upright, the first frame, with its own transparency and without any conversion
    of colours, in `mode`; None leaves its own. Raises BadPicture."""
    with _opened(data) as image:
        upright = _upright(image)
        if mode in (None, upright.mode):
            return upright.copy()
        return _eight_bits(upright).convert(mode) if _is_deep(upright) else upright.convert(mode)


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height that a file's head states, before EXIF orientation; nothing is decoded. Raises BadPicture."""
    with _header(data) as image:
        return image.size


def load_picture(path: str | Path) -> Picture:
    """The picture in a file. Raises MissingFile where there is no such file and BadInput where it cannot be read, naming it."""
    path = Path(path)
    if not path.exists():
        raise MissingFile(f"there is no image at {path}; check the path")
    if not path.is_file():
        raise BadInput(f"{path} is not a file; give the path of one image")
    try:
        return read_picture(path.read_bytes())
    except BadPicture as error:
        raise BadInput(f"the image {path} cannot be used: {error}; save or download it again") from None
    except OSError as error:
        raise BadInput(f"the image {path} cannot be read ({error.strerror or error}); check its permissions") from None


def load_image(path: str | Path) -> Image.Image:
    """`load_picture` without the transparency: RGB over white."""
    return load_picture(path).rgb


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """The picture itself where no side has more than `side` pixels, else a smaller copy of the same shape."""
    if max(picture.size) <= side:
        return picture
    smaller = picture.copy()
    smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
    return smaller


def open_plain(data: bytes) -> Image.Image | None:
    """A PNG of 8-bit RGB that holds nothing to be converted, such as those this project writes, decoded when it is first used
    (OSError where its pixels are damaged); None for any other file, also one that is no picture."""
    png = read_plain_png(data, MAX_PIXELS)
    return None if png is None else UndecodedPicture(png)


def _plain(data: bytes) -> Picture | None:
    """What `read_picture` gives for such a PNG, without what Pillow does to open one, and with its file at hand."""
    png = read_plain_png(data, MAX_PIXELS)
    if png is None:
        return None
    try:
        return Picture(keep_file(png.decode(), png))
    except ValueError:  # damaged: the way of all other files says how
        return None


def notes_of(image: Image.Image | None) -> tuple[str, ...]:
    """What was said when the picture was read."""
    return () if image is None else tuple(image.info.get(NOTES, ()))


# ------------------------------------------------------------------------------------------------------------- opening
@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The decoded first frame; what Pillow raises on damaged files, in the block too, comes out as BadPicture."""
    image = _header(data)
    try:
        with image:
            image.load()
            yield image
    except DAMAGE as error:
        raise _damaged(error) from None


def _header(data: bytes) -> Image.Image:
    if not data:
        raise BadPicture("it is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise BadPicture("it is no picture that can be read (PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF)") from None
    except Image.DecompressionBombError:
        raise BadPicture(f"it has far more than {MAX_PIXELS:,} pixels; make it smaller") from None
    except DAMAGE as error:
        raise _damaged(error) from None
    if image.width * image.height > MAX_PIXELS:
        raise BadPicture(f"it has {image.width}x{image.height} pixels, more than {MAX_PIXELS:,}; make it smaller")
    return image


def _damaged(error: BaseException) -> BadPicture:
    return BadPicture(f"it is damaged or cut short ({error})")


def _frames(image: Image.Image) -> tuple[str, ...]:
    if not _is_animated(image):
        return ()
    try:
        count = str(getattr(image, "n_frames", "several"))
    except DAMAGE:  # a later frame is damaged, and nobody needs it
        count = "several"
    return (f"the picture has {count} frames; the first one is taken",)


def _is_animated(image: Image.Image) -> bool:
    try:
        return image.format not in STILL and bool(getattr(image, "is_animated", False))
    except DAMAGE:
        return True


# ---------------------------------------------------------------------------------------------------------- converting
def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit sRGB of a picture of any mode, upright, transparency over white; the picture itself where it is that already.

    Grey of 16 bits is scaled by 65535, other deep modes by their own range (`_eight_bits`). Raises OSError or ValueError for a
    picture that cannot be decoded.
    """
    if _is_plain(image):
        return image
    image = _upright(image)
    return _over_white(image, _alpha(image), notes_of(image))


def _over_white(image: Image.Image, alpha: Image.Image | None, notes: tuple[str, ...]) -> Image.Image:
    """A new RGB picture of an upright one, of whose metadata only the notes are kept."""
    rgb = _srgb(image)
    if alpha is not None:
        rgb = Image.composite(rgb, Image.new("RGB", rgb.size, (255, 255, 255)), alpha)
    rgb = rgb.copy() if rgb is image else rgb
    rgb.info = {NOTES: notes} if notes else {}
    return rgb


def _is_plain(image: Image.Image) -> bool:
    """Whether the values are the 8-bit sRGB that is shown."""
    if image.mode != "RGB" or "transparency" in image.info:
        return False
    profile = image.info.get("icc_profile")
    return (not profile or _is_srgb(bytes(profile))) and image.getexif().get(ORIENTATION, 1) in (0, 1)


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image) if image.getexif().get(ORIENTATION, 1) not in (0, 1) else image


def _alpha(image: Image.Image) -> Image.Image | None:
    """Mode L; None where every pixel is opaque."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        alpha = image.getchannel(image.getbands()[-1])
    elif "transparency" not in image.info:
        return None
    elif _is_deep(image):
        clear = image.info["transparency"]
        if not isinstance(clear, int):
            return None
        alpha = Image.fromarray(np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8))
    else:
        alpha = image.convert("RGBA").getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def _srgb(image: Image.Image) -> Image.Image:
    """The colours without their transparency."""
    profile = bytes(image.info.get("icc_profile") or b"")
    if _is_deep(image):
        image = _eight_bits(image)
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA").convert("RGB")
    elif image.mode in ("La", "RGBa"):  # colours multiplied by their alpha
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    if image.mode in ("LA", "RGBA"):
        image = Image.merge({"LA": "L", "RGBA": "RGB"}[image.mode], image.split()[:-1])
    if image.mode == "1":
        image = image.convert("L")
    transform = _to_srgb(profile, image.mode)
    if transform is not None:
        return ImageCms.applyTransform(image, transform)  # type: ignore[return-value]
    return image.convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey (mode L) of more than 8 bits: 16-bit integers over 65535; 32-bit ones over 255, 65535 or 2^31 - 1, the least that holds
    them; floats over 1 or 255."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    most = float(values.max()) if values.size else 0.0
    if image.mode.startswith("I;16"):
        top = 65535.0
    else:
        tops = (1.0, 255.0) if image.mode == "F" else (255.0, 65535.0, 2.0**31 - 1)
        top = next((t for t in tops if most <= t), tops[-1])
    return Image.fromarray(np.clip(np.rint(values / top * 255), 0, 255).astype(np.uint8))


# ------------------------------------------------------------------------------------------------------------- colours
@lru_cache(maxsize=32)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile's colours to sRGB; None where Pillow's own conversion is right, and for a profile that is damaged or of
    another kind of picture, which other programs pass over too."""
    try:
        if mode == "LAB":
            source = ImageCms.createProfile("LAB")
        elif not profile or (mode == "RGB" and _is_srgb(profile)):
            return None
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@lru_cache(maxsize=32)
def _is_srgb(profile: bytes) -> bool:
    """Whether an RGB profile leaves colours where they are. Names say little: there are many profiles of sRGB. True for a profile
    that cannot be used."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB")
        moved = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return True
    return int(np.abs(moved.astype(int) - colours).max()) <= SAME_COLOURS


__all__ = [
    "MAX_PIXELS",
    "NOTES",
    "BadPicture",
    "Picture",
    "fitted",
    "load_image",
    "load_picture",
    "notes_of",
    "open_plain",
    "picture_size",
    "read_mask",
    "read_picture",
    "to_rgb",
]
