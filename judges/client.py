"""The base of every client: equal questions are sent once, replies are cached, and usage is counted."""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from common.errors import BadData, BadInput
from judges.cache import ReplyCache, new_key
from judges.encoding import Pictures
from judges.question import JudgeSampling, Question, Reply, Usage

FROM_CACHE = Usage(cached=1)
STARTS = 1000  # of keys; more are only made by a rubric that writes a system prompt or a schema per item
BEGINNING = 100  # characters of a cut-off reply that its reason quotes


@dataclass(frozen=True)
class Start:
    """`settings` as `CachingClient._settings` gives them, and the beginning of the keys."""

    settings: bytes
    key: hashlib.blake2b
    schema: Any


class _UnderWay:
    """One question that is with the model, for threads that have an equal one; a `Future` costs ten times as much."""

    __slots__ = ("done", "error", "reply")

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self.error: BaseException | None = None
        self.done = threading.Lock()  # held until either of them is there
        self.done.acquire()

    def wait(self) -> Reply:
        """The reply; raises what the thread that asks got instead."""
        with self.done:
            if self.reply is None:
                raise self.error or RuntimeError("a question ended without a reply")
            return self.reply


class CachingClient(ABC):
    """A `judges.question.Client` with a cache; safe to use from many threads.

    Cached are replies, refusals and replies that were cut off, all of which were paid for; questions without any reply are not. An
    equal question that comes while the first one is under way waits for its reply.
    """

    model: str
    concurrency: int

    def __init__(self, cache: ReplyCache | None) -> None:
        self._cache = cache
        self._pictures = Pictures()
        self._lock = threading.Lock()
        self._starts: dict[tuple[Any, ...], Start] = {}
        self._under_way: dict[bytes, _UnderWay] = {}
        self._cached, self._spent = 0, Usage()
        self._broken: BadInput | None = None

    @property
    def usage(self) -> Usage:
        with self._lock:
            return replace(self._spent, cached=self._cached)

    def ask(self, question: Question, sampling: JudgeSampling, repeat: int = 0) -> Reply:
        """The reply, from the cache where it is kept. A `repeat` above 0 also moves the seed on by as much, so that repeats
        are different draws. A picture that cannot be decoded is a reply with its reason.

        Raises BadInput for what concerns all questions alike (once said, for every later question too), BudgetSpent, and
        SaveFailed where replies cannot be kept.
        """
        try:
            key = self._key(question, sampling, repeat)
        except BadData as error:
            return Reply(None, str(error))
        if (cached := self._from_cache(key)) is not None:
            return cached
        if self._broken is not None:
            raise self._broken
        mine = _UnderWay()
        with self._lock:
            first = self._under_way.setdefault(key, mine)
        if first is not mine:
            reply = replace(first.wait(), usage=FROM_CACHE)
            with self._lock:
                self._cached += 1
            return reply
        try:
            reply = self._from_cache(key) or self._call_and_cache(key, question, sampling, repeat)
            mine.reply = reply
            return reply
        except BaseException as error:
            mine.error = error
            if isinstance(error, BadInput):
                self._broken = error
            raise
        finally:
            with self._lock:
                del self._under_way[key]
            mine.done.release()

    @abstractmethod
    def _settings(self, question: Question, sampling: JudgeSampling, repeat: int) -> bytes:
        """What determines the reply besides the repeat, texts and pictures: service, model, request fields."""

    @abstractmethod
    def _call(self, question: Question, sampling: JudgeSampling, repeat: int) -> tuple[Reply, dict[str, Any]]:
        """The model's reply, and further facts to keep with it (plain JSON, nothing secret)."""

    def _key(self, question: Question, sampling: JudgeSampling, repeat: int) -> bytes:
        """Of everything that determines the reply. Pictures count by their pixels and how they are encoded, not by their
        encoded files: encoding costs far more than all the rest of a kept reply. Raises BadData for an unreadable one."""
        key = self._start(question, sampling, repeat).key.copy()
        for part in question.parts:
            if isinstance(part, Image.Image):
                key.update(b"\0picture " + self._pictures.digest(part))
            else:
                key.update(b"\0text " + part.encode("utf-8", "surrogatepass"))
        return key.digest()

    def _start(self, question: Question, sampling: JudgeSampling, repeat: int) -> Start:
        """What a rubric's question has in common over all items. A schema is told apart by identity and kept alive here."""
        name = (
            question.name,
            question.system,
            id(question.schema),
            question.encoding,
            question.choices,
            question.expects_score,
            sampling,
            repeat,
        )
        start = self._starts.get(name)
        if start is None:
            if len(self._starts) >= STARTS:
                self._starts.clear()
            key, settings = new_key(), self._settings(question, sampling, repeat)
            key.update(settings)
            key.update(repr((repeat, question.system, question.encoding)).encode())
            if question.choices:
                key.update(repr(question.choices).encode())
            start = self._starts[name] = Start(settings, key, question.schema)
        return start

    def _from_cache(self, key: bytes) -> Reply | None:
        entry = None if self._cache is None else self._cache.get(key)
        if entry is None:
            return None
        with self._lock:
            self._cached += 1
        return Reply(entry["text"], entry["reason"], entry["refused"], entry["cut"], FROM_CACHE)

    def _call_and_cache(self, key: bytes, question: Question, sampling: JudgeSampling, repeat: int) -> Reply:
        if self._cache is not None:
            self._cache.check_writable()
        reply, facts = self._call(question, sampling, repeat)
        with self._lock:
            self._spent += reply.usage
        if self._cache is not None and (reply.text is not None or reply.refused or reply.cut):
            entry = {"text": reply.text, "reason": reply.reason, "refused": reply.refused, "cut": reply.cut}
            used = {"input_tokens": reply.usage.input_tokens, "output_tokens": reply.usage.output_tokens}
            context = {"model": self.model, "question": question.name, "repeat": repeat}
            self._cache.put(key, entry | used | context | facts)
        return reply


def cut_reply(text: str, max_tokens: int, usage: Usage) -> tuple[Reply, dict[str, Any]]:
    """The reply, and the facts to cache, for a text that max_tokens cut off; the whole text is cached."""
    reason = f"the reply was cut off after max_tokens={max_tokens}; it begins {text[:BEGINNING]!r}"
    return Reply(None, reason, False, True, usage), {"cut_text": text}


__all__ = ["FROM_CACHE", "CachingClient", "cut_reply"]
