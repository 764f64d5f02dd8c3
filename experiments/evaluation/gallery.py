"""Which items the page shows: the best, the worst, and those on which judges or arms differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.evaluation.layout import Key
from experiments.evaluation.load import OVERALL, Section

BEST, WORST, DISPUTED = "best", "worst", "disputed"


@dataclass(frozen=True)
class Seen:
    """An item's scores: [arm][judge], None where there is none."""

    key: Key
    scores: tuple[tuple[float | None, ...], ...]

    @property
    def known(self) -> list[float]:
        return [x for arm in self.scores for x in arm if x is not None]

    @property
    def mean(self) -> float:
        return sum(self.known) / len(self.known)

    @property
    def dispute(self) -> float:
        """How far judges lie apart on the same picture; with one judge, how far the arms do."""
        several = len(self.scores[0]) > 1
        groups: Sequence[Sequence[float | None]] = self.scores if several else list(zip(*self.scores, strict=True))
        return max((max(k) - min(k) for g in groups if len(k := [x for x in g if x is not None]) > 1), default=0.0)


def seen(section: Section) -> list[Seen]:
    """Every item with at least one score, in the benchmark's order."""
    seen = []
    for item in section.listing.items:
        scores = tuple(
            tuple(
                r["scores"].get(OVERALL) if (r := c.rows[arm].get(item.key)) and r["valid"] else None
                for c in section.columns
            )
            for arm in section.arms
        )
        if any(x is not None for arm in scores for x in arm):
            seen.append(Seen(item.key, scores))
    return seen


def groups(section: Section, count: int) -> dict[str, list[Seen]]:
    """`count` of each, no item twice: the disputed first, for they are rarer, then best and worst by the mean over judges and
    arms. Without verdicts, items evenly spaced over the benchmark, as `shown`."""
    items = seen(section)
    if not items:
        keys = [i.key for i in section.listing.items if any(i.key in section.edits[a] for a in section.arms)]
        spaced = [keys[i * len(keys) // min(count, len(keys))] for i in range(min(count, len(keys)))]
        return {"shown": [Seen(k, ()) for k in spaced]}
    count = min(count, -(-len(items) // 3))
    disputed = sorted((s for s in items if s.dispute > 0), key=lambda s: (-s.dispute, s.key))[:count]
    taken = {s.key for s in disputed}
    rest = sorted((s for s in items if s.key not in taken), key=lambda s: (-s.mean, s.key))
    half = min(count, (len(rest) + 1) // 2)
    return {BEST: rest[:half], WORST: rest[half:][-count:][::-1] if count else [], DISPUTED: disputed}


def chosen(section: Section, count: int) -> list[Key]:
    return [s.key for part in groups(section, count).values() for s in part]


__all__ = ["BEST", "DISPUTED", "WORST", "Seen", "chosen", "groups", "seen"]
