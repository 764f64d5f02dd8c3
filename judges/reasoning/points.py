"""Evaluation points: yes-or-no questions about an edited picture, by which a reasoning reward model verifies it.

arXiv 2604.27505 ("Verifier-based RRM with Cold-Start", step 1) calls them principles. They are of three kinds: what was asked
is done, what was not asked is kept, and the picture is good. A model writes them as a JSON list of {"question", "category"}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from judges.question import Unreadable

FOLLOW, KEEP, QUALITY = "follow", "keep", "quality"
# as the prompt of arXiv 2604.27505 (appendix, listing 1) names the kinds
CATEGORIES = {"Instruction Following": FOLLOW, "Feature Preservation": KEEP, "Image Quality": QUALITY}
MOST = 24  # points of one request: more are no list of points, but a reply that does not end


@dataclass(frozen=True)
class Point:
    """A question whose answer is yes where the edit is as it should be. `kind`: follow | keep | quality."""

    question: str
    kind: str


def plain(question: str) -> str:
    """What two spellings of a question have in common: case and white space apart."""
    return " ".join(question.split()).casefold()


def write_points(points: Sequence[Point]) -> str:
    """As a model writes them."""
    names = {kind: name for name, kind in CATEGORIES.items()}
    return json.dumps([{"question": p.question, "category": names[p.kind]} for p in points], ensure_ascii=False)


def read_points(text: str) -> tuple[Point, ...]:
    """The points of a model's reply: its only JSON list, with or without prose and a fence around it.

    Raises Unreadable where there is no list, an entry lacks its question or has an unknown category, a question is asked twice, or
    there is nothing about what was asked for.
    """
    start, end = text.find("["), text.rfind("]")
    if start < 0 or end < start:
        raise Unreadable(f"there is no list of points in the reply: {text[:200]!r}")
    try:
        rows = json.loads(text[start : end + 1])
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the list of points is no JSON ({error}): {text[start : start + 200]!r}") from None
    points = tuple(_point(row) for row in rows)
    if not 1 <= len(points) <= MOST:
        raise Unreadable(f"there are {len(points)} points; a request has 1 to {MOST}")
    if len({plain(p.question) for p in points}) < len(points):
        raise Unreadable("a question is asked twice")
    if all(p.kind != FOLLOW for p in points):
        raise Unreadable("no point is about what the request asks for")
    return points


def _point(row: Any) -> Point:
    if not isinstance(row, dict) or not isinstance(row.get("question"), str) or not row["question"].strip():
        raise Unreadable(f"a point has no question: {str(row)[:200]!r}")
    kind = CATEGORIES.get(row["category"]) if isinstance(row.get("category"), str) else None
    if kind is None:
        raise Unreadable(f"a point has none of the categories {', '.join(CATEGORIES)}: {str(row)[:200]!r}")
    return Point(" ".join(row["question"].split()), kind)


__all__ = ["CATEGORIES", "FOLLOW", "KEEP", "QUALITY", "Point", "plain", "read_points", "write_points"]
