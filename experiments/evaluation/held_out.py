"""The held-out samples of the benchmarks that a run trains on, as a benchmark like any other: the sandbox, `mice_text` and
`prepared`. A run evaluates itself on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from benchmarks.base import EditSample
from benchmarks.item import Card, Item, Unit
from benchmarks.sandbox.generate import SandboxBenchmark

SANDBOX = Card(
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
    trainable=True,
)
COMPLEX = replace(
    SANDBOX,
    name="sandbox_complex",
    title="Sandbox, complex requests",
    sampling="the first complex requests (indirect and multi-step, three to five edits) of the test split, counted from its seed",
)
VALIDATION = replace(
    SANDBOX,
    name="sandbox_validation",
    title="Sandbox, validation",
    split="validation",
    sampling="the first samples of the validation split, counted from its seed",
)
MICE_TEXT = Card(
    name="mice_text",
    title="MICE-Bench, the session turns as text",
    source="github.com/yuxiaooye/Edit-R2, folder dataset/",
    paper="arXiv 2606.05950",
    licence="none stated",
    split="held out by a hash of the first turn's words",
    size="all turns with gold",
    sampling="evenly spaced over the part where fewer are asked for",
    get="save the records as cm_*.jsonl and cu_*.jsonl in a folder: benchmark.path=<folder>",
    text_only=True,
    trainable=True,
)
SANDBOX_TEXT = replace(
    MICE_TEXT,
    title="Sandbox sessions in MICE-Bench's format, as text",
    source="python -m benchmarks.sandbox mice, of this repository",
    paper="",
    licence="Apache-2.0",
    get="python -m benchmarks.sandbox mice n=40 out=<folder>",
    notes=("Not MICE-Bench (arXiv 2606.05950), whose format alone they share.",),
    data="sandbox sessions, text",
)
PREPARED = Card(
    name="prepared",
    title="Prepared set",
    source="written by python -m experiments.prepare",
    paper="",
    licence="of its sources",
    split="held out by a hash of the first thing that was said",
    size="all records",
    sampling="evenly spaced over the part where fewer are asked for",
    get="python -m experiments.prepare out=<folder>, then benchmark.path=<folder>",
    text_only=True,
    trainable=True,
)
CARDS = {card.name: card for card in (SANDBOX, COMPLEX, VALIDATION, MICE_TEXT, PREPARED)}


@dataclass
class SandboxItems:
    """The first `count` samples of the test split, never trained on; the same for every run. Scenes are drawn when they are
    needed."""

    count: int
    samples: SandboxBenchmark = field(default_factory=SandboxBenchmark)
    card: Card = SANDBOX
    _units: dict[int, Unit] = field(
        default_factory=dict, repr=False
    )  # drawn so far: a scene takes longer than a verdict

    def __len__(self) -> int:
        return self.count

    def unit(self, i: int) -> Unit:
        if i not in self._units:
            self._units[i] = (self._item(i),)
        return self._units[i]

    def _item(self, i: int) -> Item:
        s = self.samples.sample(i)
        return Item(
            id=s.id,
            request=s.request,
            gold=s.gold,
            kind=s.kind,
            history=s.history,
            source=lambda: s.image,
            reference=lambda: s.target,
        )


@dataclass
class SampleItems:
    """Samples of a list, one in each unit."""

    samples: Sequence[EditSample]
    card: Card

    def __len__(self) -> int:
        return len(self.samples)

    def unit(self, i: int) -> Unit:
        s = self.samples[i]
        if isinstance(s, Item):
            return (s,)
        return (Item(s.id, s.request, s.gold, s.kind, s.history, s.image),)


__all__ = ["CARDS", "COMPLEX", "SANDBOX", "SANDBOX_TEXT", "VALIDATION", "SampleItems", "SandboxItems"]
