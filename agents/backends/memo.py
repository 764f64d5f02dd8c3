"""A cache of values by object, which drops a value when its object is freed: what rollouts and training share of a prompt."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Keys are told apart by identity, so they need no hash; they must allow weak references.

    Nothing outlives its key: memory is bounded by what the caller holds, and which values are computed together depends
    on the caller alone, never on what an earlier step left behind (a resumed run must see the same last bits).
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[weakref.ref[Any], V]] = {}
        self._stamp: Hashable = None

    def many(self, keys: Sequence[K], make: Callable[[list[K]], Sequence[V]], stamp: Hashable = None) -> list[V]:
        """The keys' values in order; all missing ones come from one call of `make`. Another `stamp` than last time
        (say, the version of the weights) makes every value stale."""
        if stamp != self._stamp:
            self._held.clear()
            self._stamp = stamp
        missing = list({id(k): k for k in keys if id(k) not in self._held}.values())
        if missing:
            for key, value in zip(missing, make(missing), strict=True):
                self._put(key, value)
        return [self._held[id(k)][1] for k in keys]

    def _put(self, key: K, value: V) -> None:
        held, name = self._held, id(key)
        self._held[name] = (weakref.ref(key, lambda gone: held.pop(name, None)), value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Memo[K, V]:
        """A copied model starts with an empty cache, since its weights will differ."""
        return Memo()


__all__ = ["Memo"]
