"""The pictures of answers with `response_format=url`: kept in memory for a while, each under a name that nobody can guess."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.errors import BadInput
from experiments.serving.limits import MB

PATH = "/v1/pictures/"


@dataclass(frozen=True)
class File:
    """`kind`: png, jpeg or webp. `ends`: when it is dropped, by the store's clock, seconds."""

    data: bytes
    kind: str
    ends: float


class KeptPictures:
    """At most `most` pictures of `max_bytes` in all, each for `seconds`. Where there is no more room the oldest ones go first. Safe
    to be used from any thread; nothing is written to a disk."""

    def __init__(self, seconds: float, most: int, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.most, self.max_bytes, self._clock = seconds, most, max_bytes, clock
        self._files: dict[str, File] = {}  # the oldest first
        self._lock = threading.Lock()

    def check(self, n: int) -> None:
        """Raises BadInput where so many pictures can never be kept together."""
        if n > self.most:
            raise BadInput(
                f"{self.most} pictures are kept at a time, and {n} are asked for; ask for fewer, or for b64_json"
            )

    def keep(self, pictures: Sequence[bytes], kind: str) -> list[str]:
        """The names of the pictures of one answer. Raises BadInput where they are too large, or too many, to be kept together."""
        self.check(len(pictures))
        if (size := sum(map(len, pictures))) > self.max_bytes:
            raise BadInput(
                f"the answer has {size / MB:.1f} MB, and {self.max_bytes / MB:g} MB are kept at a time; ask for b64_json"
            )
        names = [f"{secrets.token_urlsafe(24)}.{kind}" for _ in pictures]
        with self._lock:
            ends = self._clock() + self.seconds
            self._files |= {name: File(data, kind, ends) for name, data in zip(names, pictures, strict=True)}
            self._tidy()
        return names

    def get(self, name: str) -> tuple[File, float] | None:
        """A picture and the seconds that it stays; None where there is none of this name any more."""
        with self._lock:
            self._tidy()
            file = self._files.get(name)
            return None if file is None else (file, file.ends - self._clock())

    def clear(self) -> None:
        with self._lock:
            self._files.clear()

    def _tidy(self) -> None:
        now, held = self._clock(), sum(len(file.data) for file in self._files.values())
        for name, file in list(self._files.items()):
            if file.ends > now and len(self._files) <= self.most and held <= self.max_bytes:
                return
            held -= len(file.data)
            del self._files[name]


__all__ = ["PATH", "File", "KeptPictures"]
