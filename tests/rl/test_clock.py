"""A step's phases: how long, and how much memory at most."""

from __future__ import annotations

import numpy as np
import pytest

from rl import memory
from rl.clock import Clock


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
    assert not any(k.startswith("memory/") for k in clock.read(10))  # nothing was measured since


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
