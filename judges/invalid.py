"""The share of invalid verdicts up to which a mean over the others is reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def too_many_invalid(invalid: int, total: int, max_share: float) -> bool:
    """Whether `invalid` of `total` verdicts are more than the allowed share (in [0, 1])."""
    return invalid > max_share * total


def invalid_share_error(
    name: str, rows: Iterable[Mapping[str, Any]], total: int, max_share: float, remedy: str
) -> str | None:
    """What is wrong with the verdicts of `name`, or None where their invalid share is within `max_share`.

    `rows` are verdicts as they stand in files ("valid", "reason"); `total` is the number of verdicts expected, of which some
    may still be missing from `rows`. `remedy` says what to do and ends the message.
    """
    bad = [row for row in rows if not row["valid"]]
    if not too_many_invalid(len(bad), total, max_share):
        return None
    return (
        f"{name}: {len(bad)} of {total} verdicts are invalid, more than judge.max_invalid_share={max_share:g} allows; the first "
        f"says: {bad[0]['reason']}. A mean over the rest would be biased. {remedy}"
    )


__all__ = ["invalid_share_error", "too_many_invalid"]
