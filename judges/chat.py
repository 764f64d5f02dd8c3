"""A client of chat models behind the OpenAI-compatible protocol, with retries, rate limits, a budget and a cache."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from common.errors import BadInput
from common.http import HttpSettings, JsonClient
from judges.cache import ReplyCache
from judges.client import CachingClient, cut_reply
from judges.completions import ReplyReader, check_extra, request_body, request_head
from judges.question import JudgeSampling, Question, Reply, Usage
from judges.rate import RateLimiter
from judges.spending import Ledger, Prices

PATH = "/chat/completions"
CHARS_PER_TOKEN, PICTURE_TOKENS = 4, 1000  # guesses before the first reply says more
VERSION = 1  # raised when other words or pixels are sent for the same question (another PNG of the same pixels is none)


@dataclass(frozen=True, kw_only=True)
class ChatSettings(HttpSettings):
    """One chat model. Holds the name of the key's variable, never the key."""

    model: str  # the service's own name, pinned where it has dated ones: part of the cache's keys
    structured: bool = True  # send a question's JSON schema
    extra: Mapping[str, Any] = field(default_factory=dict)  # further request fields; null takes a field out
    requests_per_minute: float = 0.0  # 0: no limit of our own
    tokens_per_minute: float = 0.0
    prices: Prices = Prices()
    budget: float | None = None  # dollars for the calls of this client; what the cache answers is free

    def __post_init__(self) -> None:
        super().__post_init__()
        check_extra(self.extra)
        if not self.model:
            raise BadInput("a chat judge needs the name of a model")
        if self.budget is not None and self.prices == Prices():
            raise BadInput("a budget needs the model's prices: give dollars per million tokens for input and output")


class ChatClient(CachingClient):
    """`judges.question.Client` over one service. `sleep` and `clock` are for tests."""

    def __init__(
        self,
        settings: ChatSettings,
        cache: ReplyCache | None = None,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(cache)
        self.settings, self.model, self.concurrency = settings, settings.model, settings.concurrency
        self._http = JsonClient(settings, lambda key: {"Authorization": f"Bearer {key}"} if key else {}, sleep)
        self._limiter = RateLimiter(settings.requests_per_minute, settings.tokens_per_minute, clock, sleep)
        self._ledger = Ledger(settings.budget)
        url = urlsplit(settings.base_url)
        self._service = f"chat {VERSION} {url.hostname}:{url.port} {url.path.rstrip('/')} ".encode()

    def close(self) -> None:
        """Close idle connections; the client stays usable."""
        self._http.close()

    def _head(self, question: Question, sampling: JudgeSampling, repeat: int) -> bytes:
        """The request without its messages; made once for all items."""
        return self._start(question, sampling, repeat).settings[len(self._service) :]

    def _settings(self, question: Question, sampling: JudgeSampling, repeat: int) -> bytes:
        """Raises BadInput for a question that is answered by probabilities: a service tells those of its likeliest tokens alone."""
        s = self.settings
        if question.choices:
            raise BadInput(
                f"the question {question.name!r} is answered by the probabilities of {', '.join(question.choices)}, which "
                f"{self.model} behind a service cannot tell; take a local model (judge=uniworld, judge=vlm), or the number that "
                "it says: judge.rubric.scoring=generated"
            )
        if question.expects_score:
            raise BadInput(
                f"the question {question.name!r} asks for the score that a model expects, which {self.model} behind a service "
                "cannot tell; take a local model (judge=rrm), or the score that its trace says: judge.scoring=generated"
            )
        return self._service + request_head(s.model, question, sampling, repeat, s.structured, s.extra)

    def _call(self, question: Question, sampling: JudgeSampling, repeat: int) -> tuple[Reply, dict[str, Any]]:
        texts = [part for part in question.parts if isinstance(part, str)]
        pictures = len(question.parts) - len(texts)
        given = (len(question.system) + sum(map(len, texts))) // CHARS_PER_TOKEN + pictures * PICTURE_TOKENS
        guessed = given + sampling.max_tokens
        parts = [
            self._pictures.part(part, question.encoding)
            if isinstance(part, Image.Image)
            else f'{{"type": "text", "text": {json.dumps(part)}}}'.encode()
            for part in question.parts
        ]
        body = request_body(self._head(question, sampling, repeat), question.system, parts)
        reader = ReplyReader(self.settings.structured and question.schema is not None)
        reserved, dollars = self._ledger.reserve(self.settings.prices.dollars(given, sampling.max_tokens)), None
        try:
            answer = self._http.post(PATH, body, "application/json", reader, lambda: self._limiter.wait(guessed))
            if answer.value is not None:
                dollars = self.settings.prices.dollars(answer.value.input_tokens, answer.value.output_tokens)
        finally:
            self._ledger.settle(reserved, dollars)
        completion = answer.value
        if answer.status == 404:
            raise BadInput(f"{answer.reason}; check the base URL {self.settings.base_url} and the model {self.model}")
        if completion is None:
            return Reply(None, answer.reason, answer.refused, False, Usage(calls=answer.tries)), {}
        self._limiter.correct(guessed, completion.input_tokens + completion.output_tokens)
        usage = Usage(answer.tries, 0, completion.input_tokens, completion.output_tokens, dollars or 0.0)
        hide = self._http.key.hide
        facts: dict[str, Any] = {"answered_by": hide(completion.model), "fingerprint": hide(completion.fingerprint)}
        if completion.refusal:
            return Reply(None, self._http.key.redact(completion.refusal), True, False, usage), facts
        text = hide(completion.text or "")
        if completion.cut:
            reply, cut_text = cut_reply(text, sampling.max_tokens, usage)
            return reply, facts | cut_text
        return Reply(text, usage=usage), facts


__all__ = ["ChatClient", "ChatSettings"]
