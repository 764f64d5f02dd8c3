"""What detectors and feature models found, kept beside the replies of judges: the same pictures are looked at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from PIL import Image

from judges.cache import ReplyCache, new_key
from judges.encoding import Pictures
from judges.sessions.detector import Box, Detector, Look

VERSION = 1  # raised when the same models and pictures come to give something else


class Kept:
    """Plain JSON objects under a key of everything that decides them. Without a cache nothing is kept."""

    def __init__(self, replies: ReplyCache | None = None) -> None:
        self._replies, self._pictures = replies, Pictures()

    def key(self, *parts: str | Image.Image) -> bytes:
        """Of words, and of pictures by their pixels. Raises BadData for a picture that cannot be decoded."""
        key = new_key()
        key.update(f"kept {VERSION}".encode())
        for part in parts:
            content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else self._pictures.digest(part)
            key.update(len(content).to_bytes(8, "little") + content)
        return key.digest()

    def get(self, key: bytes) -> dict[str, Any] | None:
        return None if self._replies is None else self._replies.get(key)

    def put(self, key: bytes, value: dict[str, Any]) -> None:
        """Raises SaveFailed where the disk refuses."""
        if self._replies is not None:
            self._replies.put(key, value)


class KeptDetector:
    """A detector that is loaded when something was not looked for before. `identity` is what decides its boxes besides the look:
    its weights, the size it sees, its device."""

    def __init__(self, load: Callable[[], Detector], identity: str, kept: Kept) -> None:
        self._load, self._identity, self._kept = cache(load), identity, kept

    def detect(self, looks: Sequence[Look]) -> list[tuple[Box, ...]]:
        keys = [self._key(look) for look in looks]
        found = {key: boxes for key in dict.fromkeys(keys) if (boxes := self._known(key)) is not None}
        missing = {key: look for key, look in zip(keys, looks, strict=True) if key not in found}
        if missing:
            for key, boxes in zip(missing, self._load().detect(list(missing.values())), strict=True):
                found[key] = boxes
                self._kept.put(key, {"boxes": [list(vars(box).values()) for box in boxes]})
        return [found[key] for key in keys]

    def _key(self, look: Look) -> bytes:
        how = f"{look.names!r} {look.box_threshold!r} {look.text_threshold!r}"
        return self._kept.key("boxes", self._identity, how, look.picture)

    def _known(self, key: bytes) -> tuple[Box, ...] | None:
        value = self._kept.get(key)
        return None if value is None else tuple(Box(*box) for box in value["boxes"])


__all__ = ["Kept", "KeptDetector"]
