"""The reasoning that supervised answers show: how many edits there are, and what stands where."""

from __future__ import annotations

from benchmarks.base import EditSample
from benchmarks.sandbox.generate import SandboxSample
from benchmarks.sandbox.scene import CELL_NAMES, Thing

DESCRIBE = "what is in the picture?"


def count(sample: EditSample) -> str:
    return f"{len(sample.gold)} edit" + "s" * (len(sample.gold) > 1)


def scene_thought(sample: EditSample) -> str:
    """The number of edits and, where the picture's content is known, all of it: with place, number, size and label, so that
    whatever a request refers to can be looked up."""
    return f"{count(sample)}; {seen_with_places(sample)}" if isinstance(sample, SandboxSample) else count(sample)


def brief_thought(sample: EditSample) -> str:
    """The number of edits, and the names of the picture's things where the request cannot be resolved without it."""
    if sample.kind == "indirect" and isinstance(sample, SandboxSample):
        return f"{count(sample)}; {seen(sample)}"
    return count(sample)


def seen(sample: SandboxSample) -> str:
    """The things of the picture in reading order."""
    return "seen: " + ", ".join(t.phrase for t in sample.before.things)


def seen_with_places(sample: SandboxSample) -> str:
    """The things of the picture in reading order, each with all that can be seen of it."""
    return "seen: " + ", ".join(map(entry, sample.before.things))


def entry(thing: Thing) -> str:
    """'top left 3 small striped red circle', 'center large blue house with text'."""
    number = f"{thing.count} " if thing.count > 1 else ""
    label = " with text" if thing.label else ""
    return f"{CELL_NAMES[thing.cell]} {number}{thing.phrase}{label}"


THOUGHTS = {"places": scene_thought, "brief": brief_thought}

__all__ = ["DESCRIBE", "THOUGHTS", "brief_thought", "count", "entry", "scene_thought", "seen", "seen_with_places"]
