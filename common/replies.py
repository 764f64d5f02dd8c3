"""What a service's reply means: a value, a refusal, a failure to retry, or a final one. Reads the errors of OpenAI and Google."""

from __future__ import annotations

import json
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

from common.connections import Response
from common.errors import RunFailed

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

AGAIN = {408, 409, 425, 429}  # and every 5xx: the same request may succeed later
CHARS_READ = 20_000  # of an unknown error page; shortened only after keys are taken out: a cut must not halve a key


class Unusable(RunFailed):
    """A successful reply without a usable value; the request is retried."""


class Refused(RunFailed):
    """A content filter refused; final, never retried."""


class TryLater(RunFailed):
    """A temporary failure of the service; `after_s` is the wait that it demands in seconds, 0 where it states none."""

    def __init__(self, reason: str, after_s: float) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Rejected(RunFailed):
    """The service rejects this request for good."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class KeyRejected(Rejected):
    """The service rejects every request with this key."""


class AllRejected(Rejected):
    """The service rejects every request of this kind (no such model, spent quota); the text says what to do."""


class Reader(Protocol[T_co]):
    """Reads the replies of one protocol."""

    def read(self, reply: dict[str, Any]) -> T_co:
        """The value in a successful reply (2xx). Raises Unusable or Refused."""
        ...

    def refusal(self, reply: dict[str, Any]) -> str:
        """Why a content filter refused, from an error's reply; "" where the error is another. May raise AllRejected."""
        ...


def understand(response: Response, reader: Reader[T]) -> T:
    """The value in a response. Raises one of the kinds above; their texts may quote the service at any length."""
    try:
        reply = json.loads(response.body)
    except (ValueError, RecursionError):  # the latter of thousands of brackets
        reply = None
    if isinstance(reply, list) and len(reply) == 1:  # some gateways wrap an error in a list
        reply = reply[0]
    if 200 <= response.status < 300:
        if not isinstance(reply, dict):
            raise Unusable(
                f"HTTP {response.status} with {len(response.body)} bytes that are no JSON object (cut short?)"
            )
        return reader.read(reply)
    error_reply = reply if isinstance(reply, dict) else {}
    if why := reader.refusal(error_reply):
        raise Refused(why)
    causes = _causes(error_reply)
    message = _error(error_reply).get("message") or response.body[:CHARS_READ].decode("utf-8", "replace")
    text = f"HTTP {response.status}: {message}"
    if response.status in (401, 403) or "API_KEY_INVALID" in causes:  # the latter comes as 400
        raise KeyRejected(text)
    if (response.status in AGAIN or response.status >= 500) and "insufficient_quota" not in causes:
        raise TryLater(text, _retry_after(response, error_reply))
    raise Rejected(text, response.status)


def _error(reply: dict[str, Any]) -> dict[str, Any]:
    error = reply.get("error")
    return error if isinstance(error, dict) else {"message": error}


def _details(reply: dict[str, Any]) -> list[dict[str, Any]]:
    details = _error(reply).get("details")
    return [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []


def _causes(reply: dict[str, Any]) -> set[str]:
    """Machine-readable causes: OpenAI's `code` and `type`, Google's `details[].reason`."""
    error = _error(reply)
    return {str(error.get("code")), str(error.get("type")), *(str(d.get("reason")) for d in _details(reply))}


def _retry_after(response: Response, reply: dict[str, Any]) -> float:
    """Seconds from retry-after-ms, Retry-After (a number or a date) or Google's RetryInfo ("17s"); 0 where none is given."""
    after = response.headers.get("retry-after", "")
    waits = [_number(after), _number(response.headers.get("retry-after-ms", "")) / 1000]
    waits += [_number(str(d.get("retryDelay")).removesuffix("s")) for d in _details(reply)]
    if after and not waits[0]:
        try:
            waits.append(parsedate_to_datetime(after).timestamp() - time.time())
        except (ValueError, OverflowError):
            waits.append(0.0)  # neither a number nor a date: as if nothing had been said
    return max(0.0, *waits)


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text.strip()) else 0.0


__all__ = ["AllRejected", "KeyRejected", "Reader", "Refused", "Rejected", "TryLater", "Unusable", "understand"]
