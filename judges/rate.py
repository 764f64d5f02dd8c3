"""Rate limits of a service: requests and tokens per minute, shared by all threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from common.errors import BadInput

BURST_S = 1.0  # so many seconds' worth may go out at once; services count in short windows too


class TokenBucket:
    """Holds at most `capacity`, filled with `per_minute`/60 a second. Taking is first come, first served: a taker may bring
    the level below 0 and is told how long to wait until it is 0 again, so that no thread starves and none polls a clock."""

    def __init__(self, per_minute: float, capacity: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._capacity, self._clock = per_minute / 60, capacity, clock
        self._level, self._at = capacity, clock()
        self._lock = threading.Lock()

    def take(self, amount: float) -> float:
        """Seconds to wait before going on; the amount is taken at once. A negative amount gives back."""
        with self._lock:
            now = self._clock()
            self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
            self._at = now
            self._level = min(self._capacity, self._level - amount)
            return max(0.0, -self._level / self._rate)


class RateLimiter:
    """Both limits of a service; 0 means none. `sleep` and `clock` are for tests."""

    def __init__(
        self,
        requests_per_minute: float = 0.0,
        tokens_per_minute: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if not (requests_per_minute >= 0 and tokens_per_minute >= 0):
            raise BadInput(
                "requests_per_minute and tokens_per_minute must be 0 (no limit) or more, not "
                f"{requests_per_minute} and {tokens_per_minute}"
            )

        def bucket(per_minute: float, least: float) -> TokenBucket | None:
            return TokenBucket(per_minute, max(least, per_minute / 60 * BURST_S), clock) if per_minute else None

        self._requests, self._tokens = bucket(requests_per_minute, 1.0), bucket(tokens_per_minute, 0.0)
        self._sleep = sleep

    def wait(self, tokens: float) -> None:
        """Hold the calling thread until one more request of about so many tokens is within the limits."""
        wait = self._requests.take(1) if self._requests is not None else 0.0
        if self._tokens is not None:
            wait = max(wait, self._tokens.take(tokens))
        if wait > 0:
            self._sleep(wait)

    def correct(self, guessed: float, real: float) -> None:
        """After the reply: what it really was."""
        if self._tokens is not None:
            self._tokens.take(real - guessed)


__all__ = ["RateLimiter", "TokenBucket"]
