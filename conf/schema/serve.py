"""The server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.ranges import number
from conf.schema.use import TeamUse


@dataclass
class ServeConfig(TeamUse):
    """`python -m experiments.serve`: the team behind OpenAI's interface for editing pictures."""

    host: str = "127.0.0.1"  # the address to listen at; 0.0.0.0: every one of this machine
    port: int = number(8000, 0, 65535)  # 0: a free one, which is printed
    arms: Any = "all"  # all | editor,agents,agents_rl (with run=): the models that are offered, the last one by default
    key_env: str = ""  # the environment variable that holds the keys of clients, separated by commas; empty: everybody
    batch_size: int = number(8, 1, 10_000)  # pictures that are edited together, at most
    queue_size: int = number(64, 1, 100_000)  # pictures that wait for their turn, at most; further requests get 429
    max_requests: int = number(128, 1, 100_000)  # requests under way at a time, uploads included; further ones get 429
    max_wait_s: float = number(300.0, 0, 1e6, above=True)  # that a request waits for its turn before it gets 503
    upload_s: float = number(60.0, 0, 1e6, above=True)  # within which an upload must be here
    stop_s: float = number(600.0, 0, 1e6)  # after SIGTERM, for what was accepted
    max_upload_mb: float = number(25.0, 0, 2000, above=True)  # of one picture's file
    max_pixels: int = number(16_000_000, 1, 200_000_000)  # of one picture, given or asked for
    max_prompt_chars: int = number(32_000, 1, 1_000_000)  # a longer prompt is refused
    max_n: int = number(10, 1, 1000)  # pictures of one request
    keep_minutes: float = number(60.0, 0, 100_000, above=True)  # that a picture of response_format=url can be fetched
    keep_pictures: int = number(
        200, 0, 1_000_000
    )  # of these, at most so many at a time; 0: response_format=url is refused
    keep_mb: int = number(500, 1, 1_000_000)  # of memory that they take, at most
    public_url: str = ""  # how clients reach the server, in these addresses; empty: by the host that a request names


__all__ = ["ServeConfig"]
