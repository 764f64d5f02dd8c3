"""The bench of Flow-GRPO at its smallest: it runs on both sides, and the file is of the agreed form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import BadInput
from experiments.benches.flow import __main__ as bench_flow


@pytest.mark.slow
def test_it_writes_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_flow, "OUT", tmp_path / "flow.json")
    monkeypatch.setattr(bench_flow, "GROUP", 2)
    bench_flow.main(["threads=1", "repeats=1", "steps=3", "prompts=1"])
    table = json.loads((tmp_path / "flow.json").read_text())
    shares = {f"share_{phase}_{name}" for phase in ("rollout", "reward", "train") for name in ("all", "window_1")}
    assert set(table) == {"rollout_g8_vs_pipeline", "train_window_1_vs_all", *shares}
    assert all(set(row) == {"ours", "peer", "ratio", "unit"} and row["ours"] > 0 for row in table.values())
    assert sum(table[name]["ratio"] for name in shares if name.endswith("all")) == pytest.approx(1, abs=0.01)
    assert "ratio" in capsys.readouterr().out


def test_unknown_words_are_refused() -> None:
    with pytest.raises(BadInput, match="cannot read 'speed=9'"):
        bench_flow.main(["speed=9"])
