"""The complex requests of the test split: their kinds and lengths, always the same ones, and none that another split shows."""

from __future__ import annotations

import pytest

from benchmarks.sandbox.complex_split import COMPLEX_KINDS, FEWEST, MOST, complex_requests
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SPLITS, SandboxBenchmark, SandboxSample, combination_split, scene_split

N = 150


@pytest.fixture(scope="module")
def samples() -> list[SandboxSample]:
    return [complex_requests(seed=3).sample(i) for i in range(N)]


def test_requests_are_indirect_or_multi_step_and_of_three_to_five_edits(samples: list[SandboxSample]) -> None:
    assert {s.kind for s in samples} == set(COMPLEX_KINDS)
    assert {len(s.gold) for s in samples} == set(range(FEWEST, MOST + 1))
    assert all(apply_edits(s.before, s.gold) == s.after != s.before for s in samples)


def test_a_sample_depends_on_seed_and_index_alone(samples: list[SandboxSample]) -> None:
    again = complex_requests(seed=3)
    assert [again.sample(i) for i in (7, 0, 30)] == [samples[i] for i in (7, 0, 30)]
    assert complex_requests(seed=4).sample(0) != samples[0]


def test_scenes_and_combinations_are_the_test_splits(samples: list[SandboxSample]) -> None:
    assert {scene_split(s.before) for s in samples} == {"test"}
    things = [({t.name: t for t in s.before.things}, s.gold) for s in samples]
    owners = {
        combination_split(e.action, by_name[e.subject])
        for by_name, gold in things
        for e in gold
        if e.subject in by_name
    }
    assert owners == {"train", "test"}


def test_no_sample_is_one_of_another_split_or_of_the_mixed_one(samples: list[SandboxSample]) -> None:
    ids, worlds = {s.id for s in samples}, {(s.request, s.before) for s in samples}
    assert len(ids) == len(worlds) == N
    for split in SPLITS:
        others = [SandboxBenchmark(split, seed=3).sample(i) for i in range(N)]
        assert not ids & {s.id for s in others} and not worlds & {(s.request, s.before) for s in others}


def test_a_series_of_the_usual_samples_changes_nothing_of_them() -> None:
    """The name of the first series is "", so that samples, and all that was measured on them, stay what they were."""
    sample = SandboxBenchmark("test", seed=0).sample(0)
    assert sample.id == "sandbox-test-0-0" and sample == SandboxBenchmark("test", seed=0, series="").sample(0)
