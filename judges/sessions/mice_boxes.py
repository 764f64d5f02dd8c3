"""MICE-Bench's rules about boxes (Edit-R2, arXiv 2606.05950, after EdiVal-Agent, arXiv 2509.13399): pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from judges.sessions.detector import Box

SAME = 0.8  # IoU above which two boxes are one object
STILL_THERE = 0.2  # IoU from which on an object that was to be removed is the one that was there
SHIFT = 0.03  # of a picture's side: an added object lies at least so far in its direction
HUGE = 0.98  # of both sides: a box above it is no finding of an object that was to be removed
WHOLE = 0.9  # of both sides: a box above it is no finding of an object that was to remain
SIDES = {"left": (0, -1), "right": (0, 1), "above": (1, -1), "below": (1, 1)}  # axis and sign of a direction


@dataclass(frozen=True)
class Found:
    """The boxes of one look, in the detector's order, and the picture's size in pixels (width, height)."""

    boxes: tuple[Box, ...]
    size: tuple[int, int]

    def __bool__(self) -> bool:
        return bool(self.boxes)

    @property
    def top(self) -> Box:
        """That of the highest score, the first of several."""
        return max(self.boxes, key=lambda box: box.score)

    def shares(self) -> list[Box]:
        """The boxes as shares of the picture, so that pictures of different sizes can be compared."""
        return [share(box, self.size) for box in self.boxes]

    def smaller_than(self, limit: float) -> Found:
        """Without boxes that are above this share of the picture in both directions."""
        kept = [
            b
            for b in self.boxes
            if not ((s := share(b, self.size)).right - s.left > limit and s.bottom - s.top > limit)
        ]
        return Found(tuple(kept), self.size)


def share(box: Box, size: tuple[int, int]) -> Box:
    width, height = size
    return Box(box.left / width, box.top / height, box.right / width, box.bottom / height, box.score, box.name)


def iou(a: Box, b: Box) -> float:
    """The area that both cover, of the area that either covers; 0 where they only touch."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    either = _area(a) + _area(b) - both
    return both / either if either else 0.0


def count_distinct(boxes: Sequence[Box]) -> int:
    """How many objects: in the given order, a box that covers one of those kept before (IoU above 0.8) is no new one."""
    kept: list[Box] = []
    for box in boxes:
        if all(iou(box, other) <= SAME for other in kept):
            kept.append(box)
    return len(kept)


def lies_beyond(obj: Found, direction: str, reference: Found) -> bool:
    """Whether some centre of the object lies further than 0.03 of the picture in this direction from some centre of the
    reference. False for an unknown direction."""
    if direction not in SIDES:
        return False
    axis, sign = SIDES[direction]
    return any(
        sign * (box.centre[axis] / obj.size[axis] - other.centre[axis] / reference.size[axis]) > SHIFT
        for other in reference.boxes
        for box in obj.boxes
    )


def lies_towards(obj: Box, direction: str, reference: Box) -> bool:
    """Whether the centre lies in this direction, by however little. False for an unknown direction."""
    if direction not in SIDES:
        return False
    axis, sign = SIDES[direction]
    return sign * (obj.centre[axis] - reference.centre[axis]) > 0


def is_gone(before: Found, after: Found) -> str:
    """Of an object that was to be removed: "" where it is gone, else why this is no success."""
    before, after = before.smaller_than(HUGE), after.smaller_than(HUGE)
    if not before:
        return "the object is not found in the picture before"
    if not after or iou(share(before.top, before.size), share(after.top, after.size)) < STILL_THERE:
        return ""
    return "the object is still where it was"


def takes_its_place(old: Found, new: Found) -> str:
    """Of an object that was to be replaced: "" where some box of the new one overlaps some box of the old one, else why not."""
    if not old or not new:
        return f"the {'old object is not found before' if not old else 'new object is not found after'}"
    overlap = any(iou(a, b) > 0 for a in old.shares() for b in new.shares())
    return "" if overlap else "the new object does not overlap the old one"


def is_moved(obj: tuple[Found, Found], direction: str, reference: tuple[Found, Found]) -> str:
    """Of an object that was to change its place, both (before, after): "" where it did, else why not. Neither object may have
    become more or fewer, and the first box of the one has to lie in this direction of the first box of the other."""
    for name, (before, after) in (("reference", reference), ("object", obj)):
        then, now = count_distinct(before.boxes), count_distinct(after.boxes)
        if then != now:
            return f"the {name} was found {then} times before and {now} times after"
    if not obj[1] or not reference[1]:
        return f"the {'object' if not obj[1] else 'reference'} is not found after"
    return "" if lies_towards(obj[1].boxes[0], direction, reference[1].boxes[0]) else f"it does not lie {direction}"


def remains(obj: Found) -> bool:
    """Whether an object is there that was to remain: the best box is not almost the whole picture."""
    return bool(obj) and bool(Found((obj.top,), obj.size).smaller_than(WHOLE))


def _area(box: Box) -> float:
    return (box.right - box.left) * (box.bottom - box.top)


__all__ = ["Found", "count_distinct", "iou", "is_gone", "is_moved", "lies_beyond", "lies_towards", "remains"]
__all__ += ["share", "takes_its_place"]
