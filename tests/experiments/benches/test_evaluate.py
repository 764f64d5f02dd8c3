"""The evaluation's bench at a size of seconds: it really judges, and what it prints is what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import BadInput, RunFailed
from experiments.benches.evaluate.__main__ import main
from experiments.benches.evaluate.measured import Measured, seconds_in


@pytest.mark.slow
def test_it_judges_everything_once_and_nothing_again(tmp_path: Path) -> None:
    main(["items=6", "arms=2", "latency_ms=20", "concurrency=4", "side=16", f"out={tmp_path}"])
    table = json.loads((tmp_path / "evaluate.json").read_text())
    ideal_s = 6 * 2 * 0.020 / 4
    assert table["judging_vs_ideal"]["peer"] == ideal_s
    assert table["judging_vs_ideal"]["ours"] >= ideal_s  # nobody is faster than the service
    cpu = table["client_cpu_per_call_vs_ideal_time_per_call"]
    assert cpu["ours"] > 0 and cpu["peer"] == pytest.approx(1000 * ideal_s / 12, abs=0.001) and cpu["unit"] == "ms"
    assert all(row["ratio"] == pytest.approx(row["peer"] / row["ours"], rel=0.02, abs=0.001) for row in table.values())


@pytest.mark.parametrize("word", ["items", "items=0", "items=many", "speed=3"])
def test_what_it_cannot_read_is_refused(word: str) -> None:
    with pytest.raises(BadInput, match="usage"):
        main([word])


def test_times_as_a_command_says_them() -> None:
    assert [seconds_in(f"x\ntotal time: {t}\n") for t in ("0.4 s", "59.9 s", "1:02", "1:00:05")] == [
        0.4,
        59.9,
        62,
        3605,
    ]
    with pytest.raises(RunFailed):
        seconds_in("nothing")


def test_memory_is_the_most_in_a_part_of_the_time() -> None:
    grown = Measured(1.0, 1.0, 1.0, 1, [k * 2**20 for k in (1, 9, 2, 3, 8, 4, 4, 4, 4, 5)])
    assert (grown.memory_mib(0.3, 0.5), grown.memory_mib(0.8, 1.0)) == (8, 5)
