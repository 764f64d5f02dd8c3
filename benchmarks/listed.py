"""The benchmark that every loader returns: a list of units, each made on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.item import Card, Unit
from common.errors import BadData, BadInput


class ListedBenchmark:
    """A `Benchmark` of units with these ids, in this order; `make(i)` makes the i-th one and opens no picture.

    Raises BadData where two units have one id (results are stored by id) or there is none.
    """

    def __init__(self, card: Card, ids: Sequence[str], make: Callable[[int], Unit]) -> None:
        if not ids:
            raise BadData(f"{card.name}: nothing is left of split {card.split!r} ({card.sampling})")
        seen: set[str] = set()
        twice = sorted({i for i in ids if i in seen or seen.add(i)})  # type: ignore[func-returns-value]
        if twice:
            raise BadData(
                f"{card.name}: {len(twice)} ids occur more than once, e.g. {twice[0]!r}. How to get it: {card.get}"
            )
        self.card, self.ids, self._make = card, tuple(ids), make

    def __len__(self) -> int:
        return len(self.ids)

    def unit(self, i: int) -> Unit:
        """The i-th unit. Raises BadData naming the row where it cannot be read."""
        if not 0 <= i < len(self.ids):
            raise IndexError(f"{self.card.name} has {len(self.ids)} units, asked for number {i}")
        return self._make(i)


def listed(card: Card, units: Sequence[Unit]) -> ListedBenchmark:
    """A `Benchmark` of units that are at hand already; a session's id is its unit's."""
    return ListedBenchmark(card, [unit[0].session or unit[0].id for unit in units], lambda i: units[i])


def one_of(card: Card, key: str, value: str, allowed: Sequence[str]) -> str:
    """`value`, or the first of `allowed` where it is empty; BadInput names the key and the choices."""
    if value and value not in allowed:
        raise BadInput(f"{card.name}: benchmark.{key}={value} is unknown; choose one of {', '.join(allowed)}")
    return value or allowed[0]


__all__ = ["ListedBenchmark", "listed", "one_of"]
