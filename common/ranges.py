"""The range of a number that a user can set, declared where its field is.

`steps: int = number(100, 1, MANY)` is a dataclass field of a default between 1 and MANY. A configuration checks every number when
it is composed (conf/ranges.py), before anything heavy is loaded; a class checks its own with `check_fields`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from common.errors import BadInput
from common.parts import DEFINES

RANGE = "range"  # key of a field's metadata

SEED = 2**32 - 1  # the largest seed that every generator of random numbers takes
MANY = 10**9  # of what is counted one by one: steps, tokens, characters


@dataclass(frozen=True)
class Range:
    """From `least` to `most`; `above` and `below` exclude the end itself."""

    least: float
    most: float
    above: bool = False
    below: bool = False

    def holds(self, value: float) -> bool:
        """False for what is not finite, too."""
        if isinstance(value, float) and not math.isfinite(value):
            return False
        low = value > self.least if self.above else value >= self.least
        high = value < self.most if self.below else value <= self.most
        return low and high

    def __str__(self) -> str:
        low = f"above {_plain(self.least)}" if self.above else f"{_plain(self.least)} or more"
        high = f"below {_plain(self.most)}" if self.below else f"at most {_plain(self.most)}"
        return f"{low} and {high}"


def number(
    default: Any, least: float, most: float, *, above: bool = False, below: bool = False, defines: bool = True
) -> Any:
    """A dataclass field of a number, or of a list of them, between `least` and `most`. `above` and `below` exclude the ends;
    `defines=False` marks it as `common.parts.incidental`."""
    metadata = {RANGE: Range(least, most, above, below)} | ({} if defines else {DEFINES: False})
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def seed_number() -> Any:
    return number(0, 0, SEED)


def check_number(value: Any, allowed: Range, key: str) -> None:
    """Raises BadInput naming key, value and range. Null stands for itself; of a list every number is checked."""
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, int | float) and not isinstance(one, bool) and not allowed.holds(one):
            given = f"{key}={value}" if one is value else f"{one} in {key}={list(value)}"
            raise BadInput(f"{given} cannot be used; give {allowed}")


def check_fields(config: Any, prefix: str = "") -> None:
    """Every number of a dataclass with a range. Raises BadInput naming the first one outside of it, `prefix` before its name."""
    for f in fields(config):
        if allowed := f.metadata.get(RANGE):
            check_number(getattr(config, f.name), allowed, f"{prefix}{f.name}")


def _plain(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value:,}"


__all__ = ["MANY", "RANGE", "SEED", "Range", "check_fields", "check_number", "number", "seed_number"]
