"""A number as tables show it: its value, its interval, the number of items behind it, and how many are invalid or missing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from common.errors import BadInput

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def remarks(cells: Iterable[Cell]) -> list[str]:
    """What the stars of these cells point to, each remark once. Those that differ in their numbers alone are given as one with
    the range of each number, so that a table of many cells is not followed by as many lines."""
    alike: dict[str, list[str]] = {}
    for cell in cells:
        if cell.note and not cell.partial:
            alike.setdefault(NUMBER.sub("#", cell.note), []).append(cell.note)
    return [f"* {_merged(notes)}" for notes in alike.values()]


def _merged(notes: list[str]) -> str:
    """Texts that differ in their numbers alone as one: "only 2–5 values"."""
    ranges = []
    for same_place in zip(*map(NUMBER.findall, notes), strict=True):
        low, high = min(same_place, key=float), max(same_place, key=float)
        ranges.append(low if float(low) == float(high) else f"{low}–{high}")
    numbers = iter(ranges)
    return NUMBER.sub(lambda _: next(numbers), notes[0])


@dataclass(frozen=True)
class Cell:
    """`value` with its 95 % interval over `n` items; None where there is no value, which is never written as NaN.

    `invalid` items were judged without a score and are left out. `missing` ones are not judged yet: such a cell is
    partial, and says so in place of a value. `low` and `high` are None where one item, or none, can show no spread.
    `note`: a remark for the reader, or "".
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    invalid: int = 0
    missing: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        for number in (self.value, self.low, self.high):
            if number is not None and not math.isfinite(number):
                raise BadInput(f"a table cell cannot hold {number}: give None where there is no value")

    @classmethod
    def empty(cls, invalid: int = 0, missing: int = 0, note: str = "") -> Cell:
        return cls(None, None, None, 0, invalid, missing, note)

    @property
    def total(self) -> int:
        """All items: scored, invalid and missing."""
        return self.n + self.invalid + self.missing

    @property
    def partial(self) -> bool:
        return self.missing > 0

    def text(self, digits: int = 2, sign: bool = False, percent: bool = False) -> str:
        """'7.12 [6.90, 7.33]'; '–' without a value; 'partial (12 of 100)' while items are missing: judged of all.
        A star points to the note."""
        return " ".join(filter(None, self.parts(digits, sign, percent)))

    def parts(self, digits: int = 2, sign: bool = False, percent: bool = False) -> tuple[str, str]:
        """The same as (value, interval), for tables that write the interval smaller or under the value; the interval is ""
        where there is none."""
        if self.partial:
            return f"partial ({self.total - self.missing} of {self.total})", ""
        star = "*" if self.note else ""
        if self.value is None:
            return "–" + star, ""
        scale = 100.0 if percent else 1.0
        form = f"{'+' if sign else ''}z.{digits}f"  # z: what rounds to nothing has no minus
        value = f"{format(self.value * scale, form)}{star}"
        if self.low is None or self.high is None:
            return value, ""
        return value, f"[{format(self.low * scale, form)}, {format(self.high * scale, form)}]"

    def counts(self) -> str:
        """'n 98, 2 invalid'."""
        rest = [f"{k} {name}" for k, name in ((self.invalid, "invalid"), (self.missing, "missing")) if k]
        return ", ".join([f"n {self.n}", *rest])

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `partial` is there so that nobody takes the value of an unfinished evaluation for its result."""
        values = {k: v for k, v in asdict(self).items() if k != "note" or v}
        return values | ({"partial": True} if self.partial else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cell:
        return cls(**{k: v for k, v in values.items() if k != "partial"})


__all__ = ["Cell", "remarks"]
