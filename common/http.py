"""A client of JSON services: a bounded number of retries with growing waits, and keys that are never shown.

Every request ends in an `HttpResult`: a value, a refusal, or a reason why there is none. Only what concerns all requests
alike (no key, a key that the service rejects) is an error.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

from common.connections import Connections, ExchangeFailed
from common.errors import BadInput
from common.replies import AllRejected, KeyRejected, Reader, Refused, Rejected, TryLater, Unusable, understand

logger = logging.getLogger(__name__)
T = TypeVar("T")

_KEY = re.compile(r"[!-~]+")
MAX_TEXT = 300  # characters of a service's own words in a message


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """Where a service is, and its timeouts and retries. Holds the name of the key's environment variable, never the key."""

    base_url: str  # scheme, host and version, e.g. https://api.openai.com/v1; another one for a proxy
    key_env: str  # the environment variable that holds the key, read when a request is made; "": a service without keys
    timeout_s: float = 180.0  # for one whole exchange
    connect_timeout_s: float = 10.0
    tries: int = 5  # requests per question, the first included
    first_wait_s: float = 1.0  # before the second try; doubles with every further one
    max_wait_s: float = 60.0  # no wait is longer, whatever Retry-After says
    concurrency: int = 4  # requests under way at a time
    wait_seed: int = 0  # fixes the jitter of the waits

    def __post_init__(self) -> None:
        if self.tries < 1 or self.concurrency < 1:
            raise BadInput(f"tries and concurrency must be at least 1, not {self.tries} and {self.concurrency}")
        if not (self.timeout_s > 0 and self.connect_timeout_s > 0 and self.max_wait_s >= 0 and self.first_wait_s >= 0):
            raise BadInput("timeout_s and connect_timeout_s must be above 0 seconds, waits must not be negative")


@dataclass(frozen=True)
class ApiKey:
    """A key by the name of its environment variable; it is read when needed and kept nowhere."""

    env: str

    def value(self) -> str:
        """Raises BadInput where the variable is unset or cannot be a key (spaces or line breaks from copying). "" for a
        service without keys."""
        if not self.env:
            return ""
        key = os.environ.get(self.env, "").strip()
        if not key:
            raise BadInput(f"there is no key in the environment variable {self.env}; set it to use this service")
        if not _KEY.fullmatch(key):
            raise BadInput(f"{self.env} holds spaces, line breaks or special characters, as no key does; copy it again")
        return key

    def redact(self, text: str) -> str:
        """`text` without the key, and without the half-masked keys that services like to quote."""
        text = self.hide(text)
        return re.sub(r"[^\s'\",:]*\*{3,}[^\s'\",]*", "<key>", text)

    def hide(self, text: str) -> str:
        """`text` without the key alone: for words that may hold asterisks of their own."""
        key = os.environ.get(self.env, "").strip() if self.env else ""
        return text.replace(key, "<key>") if key else text


@dataclass(frozen=True)
class HttpResult(Generic[T]):
    """`value`, or None and the `reason`: `refused` by a content filter, or failed for good after `tries` requests."""

    value: T | None
    tries: int
    refused: bool = False
    reason: str = ""
    status: int = 0  # of HTTP, where the service rejected the request


class JsonClient:
    """Posts requests and reads JSON replies; safe to use from many threads.

    `auth` gives the headers that carry the key. `sleep` waits for some seconds; tests pass their own.
    """

    def __init__(
        self,
        settings: HttpSettings,
        auth: Callable[[str], Mapping[str, str]],
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.settings, self.key = settings, ApiKey(settings.key_env)
        self._auth, self._sleep = auth, sleep
        self._connections = Connections(
            settings.base_url,
            connect_timeout_s=settings.connect_timeout_s,
            timeout_s=settings.timeout_s,
            limit=settings.concurrency,
        )

    def post(
        self,
        path: str,
        body: bytes,
        content_type: str,
        reader: Reader[T],
        before: Callable[[], object] | None = None,
    ) -> HttpResult[T]:
        """Send one request up to `tries` times; `before` is called before each try and may delay it (rate limits). Retried:
        408, 409, 425, 429, 5xx, timeouts, dropped connections, replies that are cut short, no JSON or unusable. Not retried:
        refusals, other statuses, a spent quota.

        Raises BadInput where the key is missing (before any request), the service rejects it (401, 403), or the reader
        says that it would reject every other request too.
        """
        headers = {**self._auth(self.key.value()), "Content-Type": content_type, "Accept": "application/json"}
        jitter: Random | None = None
        tries, reason = self.settings.tries, ""
        for k in range(1, tries + 1):
            after_s = 0.0
            if before is not None:
                before()
            try:
                return HttpResult(understand(self._connections.post(path, headers, body), reader), k)
            except Refused as refused:
                return HttpResult(None, k, True, self._clean(refused))
            except KeyRejected as rejected:
                if not self.key.env:
                    raise BadInput(
                        f"{self._connections.host} asks for a key ({self._clean(rejected)}); put it into an environment "
                        "variable and give the variable's name as key_env"
                    ) from None
                raise BadInput(
                    f"{self._connections.host} does not accept the key in {self.key.env} for this "
                    f"({self._clean(rejected)}); check {self.key.env} and what its account may use"
                ) from None
            except AllRejected as rejected:
                raise BadInput(f"{self._connections.host}: {self._clean(rejected)}") from None
            except Rejected as rejected:
                return HttpResult(None, k, False, self._clean(rejected), rejected.status)
            except TryLater as later:
                reason, after_s = self._clean(later), later.after_s
            except Unusable as unusable:
                reason = self._clean(unusable)
            except ExchangeFailed as failed:
                reason = self._clean(failed)
                if not failed.retry:
                    return HttpResult(None, k, False, reason)
            if k < tries:
                # by the question, so that the waits do not depend on the order of the threads
                jitter = jitter or Random(f"{self.settings.wait_seed}:{hashlib.sha256(body).hexdigest()}")
                wait = self.wait_s(k, after_s, jitter.random())
                logger.info("%s, try %d of %d: %s; next in %.1f s", self._connections.host, k, tries, reason, wait)
                self._sleep(wait)
        return HttpResult(None, tries, False, f"gave up after {tries} {'try' if tries == 1 else 'tries'}: {reason}")

    def wait_s(self, k: int, after_s: float, u: float) -> float:
        """Seconds to wait after the k-th try: `first_wait_s`·2^(k−1), of which `u` in [0, 1) takes off up to half so that
        many clients do not come back at once; at least `after_s`, at most `max_wait_s`."""
        settings = self.settings
        grown = min(settings.max_wait_s, settings.first_wait_s * 2.0 ** min(k - 1, 64)) * (1 - u / 2)
        return min(settings.max_wait_s, max(grown, after_s))

    def close(self) -> None:
        """Close idle connections; the client stays usable."""
        self._connections.close()

    def _clean(self, error: Exception) -> str:
        text = " ".join(self.key.redact(str(error)).split())
        return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


__all__ = ["HttpResult", "ApiKey", "HttpSettings", "JsonClient"]
