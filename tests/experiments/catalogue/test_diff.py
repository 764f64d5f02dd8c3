"""`experiments.diff`: the keys that differ, and the scores side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from common.errors import BadInput
from experiments import diff
from experiments.reports.diff import differing_keys, score_rows, with_scores
from tests.made_up_runs import make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("diff")
    return [
        make_run(out / f"main-{reward}", (f"reward={reward}", "scale.strips=0"), n=12, steps=2, level=level)
        for reward, level in (("f1", 0.6), ("f1_goal", 0.8))
    ]


def test_only_keys_that_differ_and_those_that_a_run_lacks() -> None:
    configs = [{"a": 1, "b": 0.5, "c": None}, {"a": 1, "b": 0.25, "d": True}]
    assert differing_keys(configs) == ["b", "c", "d"]
    assert differing_keys(configs[:1] * 3) == []


def test_scores_are_paired_by_sample(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    loaded, measures, unread = with_scores(runs)
    rows, refused = score_rows(loaded, measures)
    assert unread == refused == []
    after = next(r for r in rows if r.measure.key == "after")
    a, b = after.means
    (d,) = after.differences
    assert d is not None and a.value is not None and b.value is not None
    assert d.samples.value == pytest.approx(b.value - a.value) and d.samples.n == 12
    assert d.p is not None and d.adjusted is not None and d.adjusted >= d.p
    diff.main([str(run) for run in runs])
    out = capsys.readouterr().out
    for needle in ("reward.weights.goal", "B − A", "F1 after", d.samples.parts(3, sign=True)[0], "p by Holm"):
        assert needle in out
    assert "algo.steps" not in out


def test_json_has_both(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    diff.main([*map(str, runs), "format=json"])
    values = json.loads(capsys.readouterr().out)
    assert values["config"]["reward"] == ["f1", "f1_goal"] and values["scores"]["after"]["differences"][0]["n"] == 12


def test_a_run_that_is_not_finished_shows_its_configuration_under_its_letter(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = tmp_path / "main-begun"
    begun.mkdir()
    shutil.copy(runs[1] / "config.yaml", begun)
    diff.main([str(runs[0]), str(begun), str(runs[1]), "format=json"])
    values = json.loads(capsys.readouterr().out)
    middle, last = values["scores"]["after"]["differences"]
    assert middle is None and last["n"] == 12 and values["scores"]["after"]["means"][1]["value"] is None
    diff.main([str(begun), str(runs[0])])
    assert "(stopped)" in capsys.readouterr().out


def test_other_samples_are_not_paired_and_another_version_keeps_its_keys(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_run(tmp_path / "other", ("reward=f1", "scale.strips=0"), n=8, steps=2)
    diff.main([str(runs[0]), str(other)])
    assert "not paired: other: their test samples differ" in " ".join(capsys.readouterr().out.split())
    (other / "config.yaml").write_text("reward: {name: f1, nonsense: 3}\n")
    diff.main([str(runs[0]), str(other)])
    out = " ".join(capsys.readouterr().out.split())
    assert "reward.nonsense" in out and "no scores:" in out


def test_one_run_alone_is_refused(runs: list[Path]) -> None:
    with pytest.raises(BadInput, match="at least two different runs"):
        diff.main([str(runs[0]), f"{runs[0]}/../{runs[0].name}"])
