"""A step's phases: how long, and how much memory at most."""

from __future__ import annotations

import numpy as np
import pytest

from rl import memory
from rl.clock import Clock
from rl.work import Work


def held(mib: int) -> np.ndarray:
    return np.ones(mib * 2**20, dtype=np.uint8)  # written to, so that the pages are there


@pytest.mark.skipif(memory.peak() is None, reason="this system keeps no peak")
def test_a_phase_knows_the_most_it_held_and_not_what_an_earlier_one_did() -> None:
    clock = Clock()
    with clock("rollout"):
        pass
    with clock("train"):
        big = held(200)
        del big
    with clock("sync"):
        pass
    row = clock.read(10)
    assert row["memory/train"] - row["memory/rollout"] == pytest.approx(200, abs=40)
    assert row["memory/train"] - row["memory/sync"] > 100
    assert {k for k in clock.read(10) if k.startswith("memory/")} == {"memory/rss"}  # no phase since


def test_the_largest_of_several_entries_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([5.0, 9.0, 7.0])
    monkeypatch.setattr("rl.clock.peak", lambda: next(peaks))
    clock = Clock()
    for _ in range(3):
        with clock("rollout"):
            pass
    assert clock.read(1)["memory/rollout"] == 9.0


def test_a_system_without_peaks_logs_none(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(memory, "PROC", tmp_path / "none")
    clock = Clock()
    with clock("train"):
        pass
    assert not any(k.startswith("memory/") for k in clock.read(1))


def test_an_update_shows_its_speed_and_its_share_of_a_known_peak() -> None:
    clock = Clock()
    clock.seconds |= {"rollout": 2.0, "train": 4.0, "checkpoint": 3.0}
    for _ in range(2):
        clock.train(Work(flops=6e9, tokens=100), peak_flops=1e10)
    row = clock.read(60, more={"images": 12})
    assert (row["perf/flops_per_s"], row["perf/mfu"], row["perf/tokens_per_s/train"]) == (3e9, 0.3, 50.0)
    assert "perf/images_per_s/train" not in row  # none was trained on
    assert (row["tokens_per_s"], row["tokens_per_s/rollout"]) == (10.0, 30.0)
    assert (row["images_per_s"], row["images_per_s/rollout"], row["time/step"]) == (2.0, 6.0, 6.0)
    clock.seconds["train"] = 1.0
    clock.train(Work(flops=6e9, images=3), peak_flops=None)
    row = clock.read(5)
    assert row["perf/flops_per_s"] == 6e9 and row["perf/images_per_s/train"] == 3
    assert "perf/mfu" not in row and "tokens_per_s/rollout" not in row  # no peak is known, and nothing was drawn
