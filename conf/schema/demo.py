"""The demo in a browser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from common.ranges import number
from conf.parts import part_field
from conf.schema.use import TeamUse


@dataclass
class DemoConfig(TeamUse):
    """`python -m experiments.demo`: the team in a browser."""

    host: str = "127.0.0.1"  # who may see the page: this machine alone; 0.0.0.0: every machine that reaches this one
    port: int = number(7860, 0, 65535)  # 0: any that is free
    # asked for by the browser, with any user name; IMAGEEDIT_PASSWORD in the environment is the better place for it
    password: str | None = field(default=None, repr=False)
    queue: int = number(16, 0, 24)  # turns that may wait for the one in progress; each of them takes a thread
    max_upload_mb: float = number(20.0, 0, 1000, above=True)  # of one file
    max_pixels: int = number(16_000_000, 1, 200_000_000)  # of one picture
    intent: Any = part_field()  # writes what a turn means by itself; null: the decomposer reads turns as they were said
    max_turns: int = number(50, 1, 10_000)  # of one session
    max_sessions: int = number(64, 1, 10_000)  # kept in memory; then those unused for longest are closed
    max_memory_mb: int = number(2000, 1, 10_000_000)  # that the pictures of all sessions may take
    idle_minutes: float = number(120.0, 0, 1e6, above=True)  # after which a session is closed that nobody uses


__all__ = ["DemoConfig"]
