"""Pictures as judging protocols send them: resized, encoded, and identified by content; each is encoded once while in use."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field

from PIL import Image

from common.errors import BadData, BadInput
from common.pictures import to_rgb
from common.plain_png import kept_file
from judges.question import Encoding

FORMATS = ("png", "jpeg")
HELD = 256  # pictures whose encoded files are held, so that a caller who keeps all its pictures pays no second copy
SMALL = 16 << 10  # bytes of a file that is named and written as text anew each time: to remember that costs more
VERSION = 1  # raised when the same picture and encoding come to give other pixels: part of the cache's keys


def with_file(image: Image.Image, data: bytes) -> Image.Image:
    """`image`, which is what the PNG file `data` shows and nothing has changed since: sent as that file and named by it,
    neither decoded nor encoded where a protocol wants neither."""
    image.png_file = data  # type: ignore[attr-defined]  # copies and resized versions do not have it
    return image


def file_of(image: Image.Image) -> bytes | None:
    return getattr(image, "png_file", None)


def prepare(image: Image.Image, encoding: Encoding) -> Image.Image:
    """The RGB picture that is shown: transparency over white, at most `longest` pixels on its longer side (never enlarged).

    Raises BadData for a picture that cannot be decoded.
    """
    image = _seen(image)
    if encoding.longest is not None and max(image.size) > encoding.longest:
        scale = encoding.longest / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return image


def encode(image: Image.Image, encoding: Encoding) -> tuple[str, bytes]:
    """(MIME type, file). Raises BadInput for an unknown format, BadData for a picture that cannot be decoded."""
    if encoding.format not in FORMATS:
        raise BadInput(f"pictures are sent as {' or '.join(FORMATS)}, not {encoding.format!r}")
    known = file_of(image) or kept_file(image)
    if known is not None and _sent_as_it_is(image, encoding):
        return "image/png", known
    file, shown = io.BytesIO(), prepare(image, encoding)
    if encoding.format == "png":
        shown.save(file, "PNG", compress_level=1)  # lossless at any level; higher ones only cost time
    else:
        shown.save(file, "JPEG", quality=encoding.quality)
    return f"image/{encoding.format}", file.getvalue()


def content_part(image: Image.Image, encoding: Encoding) -> bytes:
    """JSON of the part of a chat message that holds the picture as a data: URL."""
    mime, data = encode(image, encoding)
    detail = "" if encoding.detail is None else f', "detail": {json.dumps(encoding.detail)}'
    url = f"data:{mime};base64,{base64.b64encode(data).decode()}"  # plain ASCII: needs no escaping, which takes time
    return f'{{"type": "image_url", "image_url": {{"url": "{url}"{detail}}}}}'.encode()


@dataclass
class EncodedPicture:
    """`digest` names the pixels; `parts` are its files so far, as `content_part` gives them. Both are made once: threads that want
    the same at the same time wait for it under `lock`."""

    digest: bytes = b""
    parts: dict[Encoding, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)


class Pictures:
    """Knows each picture object while it lives; safe to use from many threads. Pictures must not be drawn on while they
    are in use: they are told apart by identity."""

    def __init__(self, held: int = HELD) -> None:
        self._known: dict[int, tuple[weakref.ref[Image.Image], EncodedPicture]] = {}
        self._held, self._recent = held, OrderedDict[int, weakref.ref[EncodedPicture]]()
        self._lock = threading.Lock()

    def digest(self, image: Image.Image) -> bytes:
        """Of the pixels that are seen and their size, or of the file that `with_file` told; nothing is resized or encoded for
        it. Raises BadData."""
        if _is_small(image):
            return _digest(image)
        picture = self._picture(image)
        if not picture.digest:
            with picture.lock:
                picture.digest = picture.digest or _digest(image)
        return picture.digest

    def part(self, image: Image.Image, encoding: Encoding) -> bytes:
        """As `content_part`."""
        if _is_small(image) and _sent_as_it_is(image, encoding):
            return content_part(image, encoding)
        picture = self._picture(image)
        part = picture.parts.get(encoding)
        if part is None:
            with picture.lock:
                part = picture.parts.get(encoding)
                if part is not None:
                    return part
                part = picture.parts[encoding] = content_part(image, encoding)
            with self._lock:
                self._recent[id(picture)] = weakref.ref(picture)
                self._recent.move_to_end(id(picture))
                while len(self._recent) > self._held:
                    old = self._recent.popitem(last=False)[1]()
                    if old is not None:
                        old.parts = {}
        return part

    def _picture(self, image: Image.Image) -> EncodedPicture:
        name = id(image)
        known = self._known.get(name)
        if known is None:  # setdefault: two threads that come at the same time get the same one
            gone = weakref.ref(image, lambda _: self._known.pop(name, None))
            known = self._known.setdefault(name, (gone, EncodedPicture()))
        return known[1]


def _is_small(image: Image.Image) -> bool:
    known = file_of(image)
    return known is not None and len(known) <= SMALL


def _sent_as_it_is(image: Image.Image, encoding: Encoding) -> bool:
    """Whether a protocol shows the pixels of a PNG file of this picture unchanged."""
    return encoding.format == "png" and (encoding.longest is None or max(image.size) <= encoding.longest)


def _digest(image: Image.Image) -> bytes:
    if (known := file_of(image)) is not None:
        return hashlib.blake2b(b"file " + known, digest_size=16).digest()
    seen = _seen(image)
    digest = hashlib.blake2b(f"{VERSION} {seen.width} {seen.height} ".encode(), digest_size=16)
    digest.update(seen.tobytes())
    return digest.digest()


def _seen(image: Image.Image) -> Image.Image:
    try:
        image.load()
        return to_rgb(image)
    except (OSError, ValueError, SyntaxError) as error:  # Pillow raises SyntaxError for broken PNG chunks
        raise BadData(f"a picture cannot be decoded: {error}") from error


__all__ = ["EncodedPicture", "Pictures", "content_part", "encode", "file_of", "prepare", "with_file"]
