"""Where requests come from: the sandbox, and the data that a run can train on. The public benchmarks are in benchmarks/."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from common.errors import BadInput, MissingFile
from common.parts import Content, Machine, Part, incidental
from common.ranges import MANY, check_fields, number
from conf.parts import build

if TYPE_CHECKING:
    from benchmarks.base import EditSample
    from benchmarks.item import Benchmark, Card
    from benchmarks.sandbox.generate import SandboxBenchmark as Procedural


PICTURES = tuple(  # of a folder, whatever the case of their endings
    f"**/*.{''.join(f'[{c}{c.upper()}]' for c in ending)}"
    for ending in ("png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff")
)


@dataclass(frozen=True)
class BenchmarkTools:
    """Sizes of the scale, for benchmarks that make their items."""

    image_size: int
    test_samples: int
    test_seed: int
    samples: int | None = None  # at most so many units; None: as the benchmark says
    part: str = "test"  # of a benchmark that a run trains on: all | train | validation | test


@dataclass
class KindWeights:
    """How often the kinds of requests come, relative to each other; all 0: equally often."""

    direct: float = number(0.0, 0, 1e6)
    paraphrased: float = number(0.0, 0, 1e6)
    indirect: float = number(0.0, 0, 1e6)
    multi_step: float = number(0.0, 0, 1e6)

    def __post_init__(self) -> None:
        check_fields(self, "benchmark.kinds.")


@dataclass
class TrainingPart:
    """A part of a curriculum: so many training samples, in the order in which they are drawn, of these kinds and lengths."""

    samples: int = number(0, 0, MANY)
    kinds: KindWeights = field(default_factory=KindWeights)
    lengths: list[float] = number([], 0, 1e6)  # weights of requests of 1, 2, ... 5 edits; empty: the sandbox's own

    def __post_init__(self) -> None:
        check_fields(self, "benchmark.curriculum.")


@dataclass
class SandboxBenchmark(Part):
    """Procedural scenes whose edits have exact answers."""

    name: str = "sandbox"
    max_edits: int = number(5, 1, 100)
    samples: int | None = number(None, 1, 1_000_000)  # when evaluating; null: the scale's test_samples
    # which held-out requests are evaluated. mixed: all kinds, up to max_edits | complex: indirect and multi-step, three to five
    # edits | validation: like mixed, for choosing settings; the wordings and combinations that only the test has are not in it
    split: Literal["mixed", "complex", "validation"] = "mixed"
    kinds: KindWeights = field(default_factory=KindWeights)  # of training samples
    # of training samples: weights of requests of 1, 2, ... 5 edits; empty: 30, 27, 21, 13, 9
    lengths: list[float] = number([], 0, 1e6)
    # what comes before these: the first training samples, part by part, as [{samples: 2000, kinds: {direct: 1}, lengths: [1]}]
    curriculum: list[TrainingPart] = field(default_factory=list)

    trainable = True

    def __post_init__(self) -> None:
        check_fields(self, "benchmark.")
        given = {"benchmark.lengths": self.lengths}
        given |= {f"benchmark.curriculum[{i}].lengths": p.lengths for i, p in enumerate(self.curriculum)}
        for key, lengths in given.items():
            if len(lengths) > 5:
                raise BadInput(f"{key}={list(lengths)} has {len(lengths)} weights; requests have 1 to 5 edits")
            if lengths and not any(lengths[: self.max_edits]):
                raise BadInput(
                    f"{key}={list(lengths)} has no request of at most benchmark.max_edits={self.max_edits} edits"
                )

    @property
    def place(self) -> str:
        """Of its folder and column: other requests are other items."""
        return self.name if self.split == "mixed" else f"{self.name}_{self.split}"

    def complex_split(self) -> SandboxBenchmark | None:
        """The complex requests of the test split, where these are the mixed ones."""
        return replace(self, split="complex", samples=None, max_edits=5) if self.split == "mixed" else None

    def pool(self, image_size: int, seed: int) -> Callable[[int], EditSample]:
        """Training samples by counter: sample `index` is a function of (seed, index)."""

        def part(kinds: KindWeights, lengths: Sequence[float]) -> Callable[[int], EditSample]:
            return _procedural("train", self.max_edits, image_size, seed, vars(kinds), lengths).sample

        parts = [(p.samples, part(p.kinds, p.lengths)) for p in self.curriculum]
        return Curriculum(parts, part(self.kinds, self.lengths))

    def held_out(self, image_size: int, count: int | None, seed: int, part: str = "test") -> list[EditSample]:
        sandbox = self._tested(image_size, seed)
        return [sandbox.sample(i) for i in range(200 if count is None else count)]

    def _tested(self, image_size: int, seed: int) -> Procedural:
        from benchmarks.sandbox.complex_split import complex_requests

        if self.split == "complex":
            return complex_requests(seed, image_size)
        return _procedural("test" if self.split == "mixed" else "validation", self.max_edits, image_size, seed)

    def build(self, tools: BenchmarkTools) -> Benchmark:
        from experiments.evaluation.held_out import COMPLEX, SANDBOX, VALIDATION, SandboxItems

        own = tools.test_samples if self.samples is None else self.samples
        count = own if tools.samples is None else tools.samples
        if count < 1:
            raise BadInput(f"samples={count} cannot be used; give 1 or more")
        card = {"mixed": SANDBOX, "complex": COMPLEX, "validation": VALIDATION}[self.split]
        return SandboxItems(count, self._tested(tools.image_size, tools.test_seed), card)


@dataclass
class TextBenchmark(Part):
    """Decompositions without pictures to edit: trained on, and scored as text."""

    name: str
    path: str | None = incidental(None)  # folder with the data
    train_share: float = number(1.0, 0, 1)  # share of a training batch from this benchmark; the rest is sandbox
    max_edits: int = number(5, 1, 100)  # of the sandbox's samples

    card: ClassVar[str]  # of experiments/evaluation/held_out.py
    text_only = True
    trainable = True

    def read(self, part: str) -> Sequence[EditSample]:
        raise NotImplementedError

    def find(self) -> Any:
        """The folder with the data; MissingFile says how to get it."""
        raise NotImplementedError

    def missing(self, machine: Machine) -> Iterator[str]:
        try:
            self.find()
        except MissingFile as error:
            yield f"data: {error}"

    def contents(self) -> Iterator[Content]:
        with suppress(MissingFile):  # what is missing is said by `missing`
            yield Content(self.find(), ("**/*.jsonl",))

    def pool(self, image_size: int, seed: int) -> Callable[[int], EditSample]:
        sandbox = _procedural("train", self.max_edits, image_size, seed)
        return MixedSamples(sandbox, self.read("train"), self.train_share, seed)

    def held_out(self, image_size: int, count: int | None, seed: int, part: str = "test") -> list[EditSample]:
        """`count` samples spread evenly over the part where there are more; all of it for None."""
        data = self.read(part)
        n = len(data) if count is None else min(count, len(data))
        return [data[i * len(data) // n] for i in range(n)]

    def build(self, tools: BenchmarkTools) -> Benchmark:
        from experiments.evaluation.held_out import SampleItems

        samples = self.held_out(tools.image_size, tools.samples, tools.test_seed, tools.part)
        return SampleItems(samples, replace(self.described(), read=str(self.find())))

    def described(self) -> Card:
        """The card of what is read, which the name of the benchmark alone does not say."""
        from experiments.evaluation.held_out import CARDS

        return CARDS[self.card]


@dataclass
class MiceTextBenchmark(TextBenchmark):
    """Real session turns of MICE-Bench (arXiv 2606.05950), text only."""

    card = "mice_text"

    def read(self, part: str) -> Sequence[EditSample]:
        from benchmarks.mice import MiceText

        return MiceText(self.path, part)

    def find(self) -> Any:
        from benchmarks.mice import find_folder

        return find_folder(self.path)

    def described(self) -> Card:
        from benchmarks.mice_records import from_sandbox, read_records
        from experiments.evaluation.held_out import SANDBOX_TEXT

        return SANDBOX_TEXT if from_sandbox(read_records(self.find())) else super().described()


@dataclass
class PreparedBenchmark(TextBenchmark):
    """The training set that `python -m experiments.prepare` writes."""

    card = "prepared"

    def read(self, part: str) -> Sequence[EditSample]:
        from benchmarks.prepared import PreparedBenchmark as Prepared
        from common.progress import say

        data = Prepared(self.path, part)
        if data.left_out:
            say(
                f"prepared: {data.left_out} records of {data.folder} have an edit that cannot be carried out and are left out"
            )
        return data

    def find(self) -> Any:
        from benchmarks.prepared import find_folder

        return find_folder(self.path)

    def contents(self) -> Iterator[Content]:
        from benchmarks.prepared import RECORDS, pictures_elsewhere

        with suppress(MissingFile):
            folder = self.find()
            yield Content(folder, (RECORDS, *PICTURES), also=pictures_elsewhere(folder))


@dataclass(frozen=True)
class MixedSamples:
    """Training samples by counter: the benchmark's own, and sandbox ones where its share is below 1."""

    sandbox: Procedural
    real: Sequence[EditSample]
    share: float
    seed: int

    def __call__(self, index: int) -> EditSample:
        rng = Random(f"train/{self.seed}/{index}")
        if rng.random() < self.share:
            return self.real[rng.randrange(len(self.real))]
        return self.sandbox.sample(index)


@dataclass(frozen=True)
class Curriculum:
    """Training samples by counter: those of the parts first, each (how many, its samples), then the others."""

    parts: Sequence[tuple[int, Callable[[int], EditSample]]]
    others: Callable[[int], EditSample]

    def __call__(self, index: int) -> EditSample:
        end = 0
        for samples, sample in self.parts:
            end += samples
            if index < end:
                return sample(index)
        return self.others(index)


def _procedural(
    split: str,
    max_edits: int,
    image_size: int,
    seed: int,
    kinds: Mapping[str, float] = MappingProxyType({}),
    lengths: Sequence[float] = (),
) -> Procedural:
    from benchmarks.sandbox.generate import KINDS, LENGTH_WEIGHTS
    from benchmarks.sandbox.generate import SandboxBenchmark as Procedural

    weights = [*lengths, *[0.0] * (len(LENGTH_WEIGHTS) - len(lengths))] if lengths else LENGTH_WEIGHTS
    return Procedural(
        split,
        seed=seed,
        size=image_size,
        kinds=kinds if any(kinds.values()) else KINDS,
        max_edits=max_edits,
        lengths=weights,
    )


def train_samples(benchmark: Any, image_size: int, seed: int) -> Callable[[int], EditSample]:
    """Counter-based: sample `index` is a function of (seed, index). Raises BadInput as `check_benchmark`."""
    check_benchmark(benchmark)
    return benchmark.pool(image_size, seed)


def held_out_samples(
    benchmark: Any, image_size: int, count: int | None, seed: int, part: str = "test"
) -> list[EditSample]:
    """`count` samples never trained on. Raises BadInput as `check_benchmark`."""
    check_benchmark(benchmark)
    return list(benchmark.held_out(image_size, count, seed, part))


def check_benchmark(benchmark: Any) -> None:
    """BadInput for a benchmark that a run cannot train on."""
    if not benchmark.trainable:
        raise BadInput(
            f"benchmark={benchmark.name} is there to evaluate on: `python -m experiments.evaluate run=<run> "
            f"benchmark={benchmark.name} …`; a run trains on one with gold decompositions, as sandbox, mice_text or prepared"
        )


def open_benchmark(benchmark: Any, tools: BenchmarkTools) -> Benchmark:
    """The items of an evaluation: what the benchmark builds, or its held-out samples. Raises BadInput, MissingFile, BadData."""
    built = build(benchmark, tools)
    if hasattr(built, "unit"):
        return built
    from benchmarks.item import Card
    from experiments.evaluation.held_out import SampleItems

    check_benchmark(benchmark)
    samples = benchmark.held_out(tools.image_size, tools.samples, tools.test_seed, tools.part)
    name, unknown = benchmark.name, ""
    card = Card(
        name, name, unknown, unknown, unknown, tools.part, f"{len(samples)} samples", "as the benchmark says", unknown
    )
    return SampleItems(list(samples), card)


__all__ = [
    "BenchmarkTools",
    "Curriculum",
    "KindWeights",
    "MiceTextBenchmark",
    "MixedSamples",
    "PreparedBenchmark",
    "SandboxBenchmark",
    "TextBenchmark",
    "TrainingPart",
    "check_benchmark",
    "held_out_samples",
    "open_benchmark",
    "train_samples",
]
