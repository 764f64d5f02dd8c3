"""The sandbox as a part: which test requests it gives, and under which name."""

from __future__ import annotations

import json

import pytest

from benchmarks.sandbox.generate import SandboxBenchmark as Procedural
from common.errors import BadInput
from conf.parts import part_values
from experiments.build.benchmarks import BenchmarkTools, KindWeights, SandboxBenchmark, TrainingPart, open_benchmark
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


def test_choices_are_made_on_a_split_of_their_own() -> None:
    """Settings are compared on requests that are neither trained on nor tested on, without the wordings of the test alone."""
    part = SandboxBenchmark(split="validation")
    items = [s for b in [open_benchmark(part, TOOLS)] for i in range(len(b)) for s in b.unit(i)]
    assert part.place == "sandbox_validation" and part.complex_split() is None
    assert [i.id for i in items] == [s.id for s in part.held_out(48, 6, 2)]
    assert part.held_out(48, 6, 2) == [Procedural("validation", seed=2, size=48).sample(i) for i in range(6)]
    others = {s.id for s in SandboxBenchmark().held_out(48, 6, 2)}
    assert not others & {i.id for i in items}


def test_training_samples_have_the_kinds_and_lengths_that_were_asked_for() -> None:
    sample = SandboxBenchmark(kinds=KindWeights(indirect=1, multi_step=3), lengths=[1, 1]).pool(48, 0)
    drawn = [sample(i) for i in range(200)]
    assert {s.kind for s in drawn} == {"indirect", "multi_step"}
    assert 0.6 < sum(s.kind == "multi_step" for s in drawn) / 200 < 0.9
    assert max(len(s.gold) for s in drawn if s.kind == "indirect") == 2


def test_without_weights_the_training_samples_are_those_of_the_sandbox() -> None:
    sample, whole = SandboxBenchmark().pool(48, 3), Procedural("train", seed=3, size=48)
    assert [sample(i) for i in range(20)] == [whole.sample(i) for i in range(20)]


def test_a_curriculum_comes_first_part_by_part() -> None:
    parts = [TrainingPart(30, KindWeights(direct=1), [1]), TrainingPart(20, KindWeights(paraphrased=1))]
    sample = SandboxBenchmark(kinds=KindWeights(indirect=1), curriculum=parts).pool(48, 0)
    kinds = [sample(i).kind for i in range(100)]
    assert kinds == ["direct"] * 30 + ["paraphrased"] * 20 + ["indirect"] * 50
    assert {len(sample(i).gold) for i in range(30)} == {1}
    assert sample(49) == SandboxBenchmark(kinds=KindWeights(paraphrased=1)).pool(48, 0)(
        49
    )  # a function of its number alone


def test_a_curriculum_is_written_with_the_settings_of_a_run() -> None:
    benchmark = SandboxBenchmark(curriculum=[TrainingPart(30, KindWeights(direct=2), [1])])
    written = json.loads(json.dumps(part_values(benchmark, defining=True)))  # plain values all the way down
    (part,) = written["curriculum"]
    assert (part["samples"], part["kinds"]["direct"], part["lengths"]) == (30, 2, [1])


def test_evaluation_knows_nothing_of_the_training_mix() -> None:
    mixed = SandboxBenchmark(
        kinds=KindWeights(direct=1), lengths=[1], curriculum=[TrainingPart(5, KindWeights(direct=1))]
    )
    assert mixed.held_out(48, 12, 0) == SandboxBenchmark().held_out(48, 12, 0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("benchmark.kinds={hard: 1}", "hard"),
        ("benchmark.kinds={direct: -1}", "benchmark.kinds.direct=-1"),
        ("benchmark.lengths=[1,1,1,1,1,1]", "requests have 1 to 5 edits"),
        ("benchmark.lengths=[nan]", "benchmark.lengths=[nan]"),
        ("benchmark.curriculum=[{samples: -1}]", "samples=-1"),
        ("benchmark.curriculum=[{samples: 3, kinds: {hard: 1}}]", "hard"),
        ("benchmark.curriculum=[{samples: 3, kinds: {direct: .inf}}]", "direct"),
        (
            "benchmark.curriculum=[{sample: 3}]",
            "benchmark.curriculum[0].sample'; the nearest one is 'benchmark.curriculum[0].samples'",
        ),
        ("benchmark.curriculum=[{samples: 3}, {samples: 3, kinds: {hard: 1}}]", "'benchmark.curriculum[1].kinds.hard'"),
        ("benchmark.curriculum={samples: 3}", "'benchmark.curriculum=[{samples: …, kinds: …, lengths: …}, …]'"),
        ("benchmark.curriculum=[{samples: 3, lengths: [0]}]", "benchmark.curriculum[0].lengths=[0.0] has no request"),
    ],
)
def test_a_mix_that_cannot_be_drawn_is_refused(override: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        typed(compose("run", [override]))
    assert message in str(error.value)


def test_weights_that_are_all_0_mean_all_kinds_alike() -> None:
    assert SandboxBenchmark(kinds=KindWeights()).pool(48, 0)(7) == Procedural("train", seed=0, size=48).sample(7)


def test_lengths_beyond_the_largest_request_are_refused() -> None:
    with pytest.raises(BadInput, match="max_edits=2"):
        SandboxBenchmark(max_edits=2, lengths=[0, 0, 1])
