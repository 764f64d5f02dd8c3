"""The sandbox as a part: which test requests it gives, and under which name."""

from __future__ import annotations

import pytest

from common.errors import BadInput
from experiments.build.benchmarks import BenchmarkTools, SandboxBenchmark, open_benchmark
from experiments.runs.cli import compose, typed

TOOLS = BenchmarkTools(image_size=48, test_samples=6, test_seed=2)


def test_the_complex_split_is_another_benchmark_with_other_items() -> None:
    mixed = SandboxBenchmark()
    other = mixed.complex_split()
    assert other is not None and other.complex_split() is None
    assert (mixed.place, other.place) == ("sandbox", "sandbox_complex")
    items = [[b.unit(i)[0] for i in range(len(b))] for b in (open_benchmark(p, TOOLS) for p in (mixed, other))]
    assert [len(part) for part in items] == [6, 6]
    assert not {i.id for i in items[0]} & {i.id for i in items[1]}
    assert all(i.kind in ("indirect", "multi_step") and 3 <= len(i.gold) <= 5 for i in items[1])
    assert [s.id for s in other.held_out(64, 6, 2)] == [i.id for i in items[1]]
    assert open_benchmark(other, TOOLS).card.name == "sandbox_complex"


def test_a_limit_on_the_edits_of_training_leaves_the_complex_requests_as_they_are() -> None:
    other = SandboxBenchmark(max_edits=2).complex_split()
    assert other is not None and other.held_out(64, 6, 2) == SandboxBenchmark(split="complex").held_out(64, 6, 2)


def test_the_split_is_an_option_of_the_command_line() -> None:
    assert typed(compose("run", ["benchmark.split=complex"])).benchmark.place == "sandbox_complex"
    with pytest.raises(BadInput, match="split"):
        typed(compose("run", ["benchmark.split=hard"]))
