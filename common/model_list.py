"""Which models a service lists at `GET <base_url>/models`, as OpenAI's interface has it."""

from __future__ import annotations

import json
from typing import Any

from common.connections import Connections
from common.errors import RunFailed
from common.http import MAX_TEXT, ApiKey

TIMEOUT_S = 10.0


class NoList(RunFailed):
    """The service answered, but with no list of models."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


def listed_models(base_url: str, key_env: str = "", timeout_s: float = TIMEOUT_S) -> list[dict[str, Any]]:
    """The entries of the list, each with an `id`. Raises ExchangeFailed where the service cannot be reached, NoList for another
    answer, and BadInput for an address or key that cannot be used."""
    key = ApiKey(key_env)
    connections = Connections(base_url, connect_timeout_s=timeout_s, timeout_s=timeout_s, limit=1)
    secret = key.value()
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {secret}"} if secret else {})}
    try:
        response = connections.get("/models", headers)
    finally:
        connections.close()
    try:
        reply = json.loads(response.body)
    except (ValueError, RecursionError):
        reply = None
    entries = reply.get("data") if isinstance(reply, dict) else None
    if response.status != 200 or not isinstance(entries, list):
        error = reply.get("error") if isinstance(reply, dict) else None
        said = error.get("message") if isinstance(error, dict) else None
        text = key.redact(str(said) if said else response.body.decode("utf-8", "replace"))
        raise NoList(f"HTTP {response.status}: {' '.join(text.split())[:MAX_TEXT]}", response.status)
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


__all__ = ["NoList", "listed_models"]
