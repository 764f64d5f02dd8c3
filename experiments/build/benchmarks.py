"""The samples that a run trains on and is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.base import EditSample
from benchmarks.mice import MiceText
from benchmarks.prepared import PreparedBenchmark
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput
from conf.schema import BenchmarkConfig

TRAINED_ON = ("sandbox", "mice_text", "prepared")  # benchmarks with gold decompositions


@dataclass(frozen=True)
class TrainSamples:
    """Training samples by counter: the benchmark's own, and sandbox ones where its share is below 1."""

    sandbox: SandboxBenchmark
    real: Sequence[EditSample] | None
    share: float
    seed: int

    def __call__(self, index: int) -> EditSample:
        rng = Random(f"train/{self.seed}/{index}")
        if self.real is not None and rng.random() < self.share:
            return self.real[rng.randrange(len(self.real))]
        return self.sandbox.sample(index)


def train_samples(benchmark: BenchmarkConfig, image_size: int, seed: int) -> TrainSamples:
    """Counter-based: sample `index` is a function of (seed, index)."""
    sandbox = SandboxBenchmark("train", seed=seed, size=image_size, max_edits=benchmark.max_edits)
    real: Sequence[EditSample] | None = None
    if benchmark.name == "mice_text":
        real = MiceText(benchmark.path, "train")
    elif benchmark.name == "prepared":
        real = PreparedBenchmark(benchmark.path, "train")
    return TrainSamples(sandbox, real, benchmark.train_share, seed)


def held_out_samples(
    benchmark: BenchmarkConfig, image_size: int, count: int | None, seed: int, part: str = "test"
) -> list[EditSample]:
    """`count` samples never trained on, spread evenly over the part where there are more; all of it for None. Raises
    BadInput as `check_benchmark`."""
    check_benchmark(benchmark)
    match benchmark.name:
        case "sandbox":
            sandbox = SandboxBenchmark("test", seed=seed, size=image_size, max_edits=benchmark.max_edits)
            return [sandbox.sample(i) for i in range(200 if count is None else count)]
        case "mice_text" | "prepared":
            kind = MiceText if benchmark.name == "mice_text" else PreparedBenchmark
            data: Sequence[EditSample] = kind(benchmark.path, part)
            n = len(data) if count is None else min(count, len(data))
            return [data[i * len(data) // n] for i in range(n)]
    raise AssertionError(benchmark.name)  # check_benchmark


def check_benchmark(config: BenchmarkConfig) -> None:
    """BadInput for a benchmark that a run cannot train on."""
    if config.name not in TRAINED_ON:
        raise BadInput(
            f"benchmark={config.name} is there to evaluate on: `python -m experiments.evaluate run=<run> "
            f"benchmark={config.name} …`; a run trains on {', '.join(TRAINED_ON[:-1])} or {TRAINED_ON[-1]}"
        )


__all__ = ["TrainSamples", "train_samples", "held_out_samples", "check_benchmark"]
