"""Who may use the server: everybody, or those who know one of its keys."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Sequence

from common.errors import BadInput

_KEY = re.compile(r"[!-+\--~]+")  # visible ASCII but no comma


class Keys:
    """Kept as digests alone. No keys: everybody may."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._digests = [_digest(key) for key in keys]

    @classmethod
    def from_environment(cls, variable: str) -> Keys:
        """The keys in an environment variable, separated by commas; none for an empty name. Raises BadInput where the variable
        holds no keys."""
        if not variable:
            return cls()
        keys = [key.strip() for key in os.environ.get(variable, "").split(",") if key.strip()]
        if not keys:
            raise BadInput(
                f"key_env={variable}: the environment variable {variable} holds no key; set it to one or more keys, "
                "separated by commas"
            )
        if not all(_KEY.fullmatch(key) for key in keys):
            raise BadInput(f"a key in {variable} has spaces or special characters, which cannot be sent; choose others")
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, authorization: str | None) -> bool:
        """Whether a header `Authorization: Bearer <key>` has one of the keys. Every key is compared to the end, so that the time
        says nothing about them."""
        if not self._digests:
            return True
        scheme, _, given = (authorization or "").partition(" ")
        digest = _digest(given.strip())
        known = [hmac.compare_digest(digest, one) for one in self._digests]
        return scheme.lower() == "bearer" and any(known)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


__all__ = ["Keys"]
