"""A judge that is asked the same thing once: verdicts by content, for the time of a process."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Protocol

from PIL import Image

from benchmarks.base import Edit, EditSample
from judges.base import Verdict
from judges.question import Usage

Key = tuple[str, str, tuple[Edit, ...]]


class ExactJudge(Protocol):
    """One whose verdict is a function of both pictures and the wanted edits."""

    @property
    def concurrency(self) -> int: ...

    @property
    def usage(self) -> Usage: ...

    def judge(self, before: Image.Image, after: Image.Image, wanted: Sequence[Edit], /) -> Verdict: ...


class RememberingJudge:
    """A `judges.base.Judge` over an exact one; the last `most` verdicts are kept."""

    def __init__(self, judge: ExactJudge, most: int = 4096) -> None:
        self.inner, self.most = judge, most
        self._known: OrderedDict[Key, Verdict] = OrderedDict()
        self._lock = Lock()

    @property
    def concurrency(self) -> int:
        return self.inner.concurrency

    @property
    def usage(self) -> Usage:
        return self.inner.usage

    def judge(self, before: Image.Image, after: Image.Image, wanted: EditSample | Sequence[Edit], /) -> Verdict:
        gold = tuple(wanted.gold if isinstance(wanted, EditSample) else wanted)
        try:
            key = (pixels(before), pixels(after), gold)
        except (OSError, ValueError):  # a picture that cannot be decoded, on which the judge itself has a verdict
            return self.inner.judge(before, after, gold)
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            return known
        verdict = self.inner.judge(before, after, gold)
        with self._lock:
            self._known[key] = verdict
            while len(self._known) > self.most:
                self._known.popitem(last=False)
        return verdict


def pixels(image: Image.Image) -> str:
    """A digest of mode, size and pixels. Raises OSError for a picture that cannot be decoded."""
    return hashlib.sha256(f"{image.mode}/{image.size}/".encode() + image.tobytes()).hexdigest()


__all__ = ["ExactJudge", "RememberingJudge"]
