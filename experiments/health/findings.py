"""A line of the doctor's list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["ok", "absent", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """`status`: ok; absent (nothing needs it by default); warning (works, but look at it); fault (a first run will not work).
    `remedy` says what to do; `data` are the same facts for programs, sizes in bytes."""

    name: str
    status: Status
    text: str
    remedy: str = ""
    data: dict[str, Any] = field(default_factory=dict)


Sections = dict[str, list[Finding]]


def as_json(sections: Sections) -> dict[str, Any]:
    """{section: [findings]}, and how many there are of each status."""
    counts = {
        status: sum(f.status == status for f in _all(sections)) for status in ("ok", "absent", "warning", "fault")
    }
    return {"counts": counts} | {name: [asdict(f) for f in found] for name, found in sections.items()}


def faults(sections: Sections) -> list[Finding]:
    return [f for f in _all(sections) if f.status == "fault"]


def _all(sections: Sections) -> Iterable[Finding]:
    return (f for found in sections.values() for f in found)


__all__ = ["Finding", "Sections", "Status", "as_json", "faults"]
