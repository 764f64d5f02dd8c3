"""The second test split: complex requests alone, as PSR and Complex-Edit measure them.

Indirect and multi-step requests of three to five edits. Scenes, combinations and wordings are those of the test split, so none
of them appears in training; the samples are another series than those of the mixed test split.
"""

from __future__ import annotations

from benchmarks.sandbox.generate import LENGTH_WEIGHTS, LENGTHS, SandboxBenchmark

SERIES = "complex"
COMPLEX_KINDS = ("indirect", "multi_step")
FEWEST, MOST = 3, 5  # edits


def complex_requests(seed: int = 0, size: int = 64) -> SandboxBenchmark:
    """Sample `i` is a function of (seed, i); `size` is the side of a picture in pixels."""
    lengths = [w if FEWEST <= n <= MOST else 0 for n, w in zip(LENGTHS, LENGTH_WEIGHTS, strict=True)]
    return SandboxBenchmark("test", seed, size, COMPLEX_KINDS, lengths=lengths, series=SERIES)


__all__ = ["COMPLEX_KINDS", "FEWEST", "MOST", "SERIES", "complex_requests"]
