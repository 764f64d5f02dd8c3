"""The editors' bench at its smallest: both sides make the same pictures, and the file is of the agreed form."""

from __future__ import annotations

import json

import pytest

from common.errors import BadInput, RunFailed
from experiments.benches.editors import __main__ as bench_editors
from experiments.benches.editors.sides import Work
from tests.editor_pipelines import noise_picture


def test_it_compares_the_same_pictures_and_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_editors, "OUT", tmp_path / "bench" / "editors.json")
    monkeypatch.setattr(bench_editors, "BATCH", 2)
    bench_editors.main(["threads=1", "repeats=1", "steps=2"])
    table = json.loads((tmp_path / "bench" / "editors.json").read_text())
    assert set(table) == {f"edit_{work}8_vs_naive{of}" for work in ("batch", "group") for of in ("", "_flux_kontext")}
    for row in table.values():
        assert row["ours"] > 0 and row["peer"] > 0 and row["unit"] == "pictures/s"
        assert row["ratio"] == pytest.approx(row["ours"] / row["peer"], rel=0.05, abs=0.01)
    assert "ratio" in capsys.readouterr().out


def test_different_pictures_are_not_compared():
    one, other = ([noise_picture((8, 8), seed)] for seed in (0, 1))
    with pytest.raises(RunFailed, match="differ by"):
        bench_editors.compare(lambda work: one, lambda work: other, Work(one, ["x"], [0]), 1)


def test_unknown_words_are_refused():
    with pytest.raises(BadInput, match="cannot read 'speed=9'"):
        bench_editors.main(["speed=9"])
    with pytest.raises(BadInput, match="usage"):
        bench_editors.main(["steps=many"])
