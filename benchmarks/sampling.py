"""Seeded samples of a benchmark's units."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from common.errors import BadInput

T = TypeVar("T")


def sample_ids(n_total: int, n: int | None, seed: int) -> list[int]:
    """n of 0..n_total-1, in ascending order; all of them where n is None or not smaller.

    Every number is ranked by a hash of the seed and itself, and the first n are taken: the same on every machine and in
    every version of Python, and a larger sample contains the smaller one.
    """
    if n is not None and n < 1:
        raise BadInput(f"benchmark.samples={n}: take at least one, or null for all")
    if n is None or n >= n_total:
        return list(range(n_total))
    return sorted(sorted(range(n_total), key=lambda i: rank(seed, i))[:n])


def rank(seed: int, what: object) -> bytes:
    """A pseudo-random rank, as bytes to sort by."""
    return hashlib.sha256(f"{seed}:{what}".encode()).digest()


def take(units: Sequence[T], n: int | None, seed: int) -> list[T]:
    """The units of `sample_ids`."""
    return [units[i] for i in sample_ids(len(units), n, seed)]


def describe_sampling(n: int | None, total: int, seed: int, what: str = "requests") -> str:
    """The sampling in words, for the card."""
    if n is None or n >= total:
        return f"all {total} {what}"
    return f"{n} of {total} {what}, ranked by SHA-256 of seed {seed} and row number; ids in the results"


__all__ = ["rank", "sample_ids", "describe_sampling", "take"]
