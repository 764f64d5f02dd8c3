"""The sandbox as a benchmark like any other: its test samples as items, with gold edits and the exact answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from benchmarks.item import Card, Item, Unit
from benchmarks.sandbox.generate import SandboxBenchmark

CARD = Card(
    name="sandbox",
    title="Sandbox",
    source="benchmarks/sandbox of this repository",
    paper="",
    licence="Apache-2.0",
    split="test",
    size="as many as are asked for; procedural",
    sampling="the first samples of the test split, counted from its seed",
    get="nothing to get: scenes are drawn here",
    rubric="sandbox",
)


@dataclass
class SandboxItems:
    """`count` samples of the test split, never trained on; the same for every run."""

    count: int
    seed: int = 0
    size: int = 64
    max_edits: int = 5
    card: Card = CARD

    @cached_property
    def _samples(self) -> SandboxBenchmark:
        return SandboxBenchmark("test", seed=self.seed, size=self.size, max_edits=self.max_edits)

    def __len__(self) -> int:
        return self.count

    def unit(self, i: int) -> Unit:
        s = self._samples.sample(i)
        item = Item(
            id=s.id,
            request=s.request,
            gold=s.gold,
            kind=s.kind,
            history=s.history,
            source=lambda: s.image,
            reference=lambda: s.target,
        )
        return (item,)


__all__ = ["SandboxItems"]
