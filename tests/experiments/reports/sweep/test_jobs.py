"""A sweep over runs of a job with a stage of the user's own shows what that stage measures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.files import read_json, write_json
from conf.schema import MAIN_JOB
from experiments.reports.sweep.find import find_runs
from experiments.reports.sweep.jobs import measures_of_jobs, result_measure
from experiments.reports.sweep.report import report_sweep
from experiments.reports.sweep.runs import load
from experiments.reports.sweep.summary import MEANS, Sweep
from experiments.reports.sweep.team import TEAM
from tests.made_up_runs import make_run

STAGE = """
from experiments.runs.stages import Stage

class Counting(Stage):
    name = "counting"
    metrics = ("counts.accuracy", "counts")
    def done(self, run): return True
    def run(self, run): pass
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "mystages.py").write_text(STAGE)
    monkeypatch.syspath_prepend(tmp_path)
    yield f"job=[{','.join([*MAIN_JOB, 'mystages.Counting'])}]"
    sys.modules.pop("mystages", None)


def test_a_stages_number_is_a_measure_with_an_interval_over_seeds(tmp_path: Path, job: str) -> None:
    for seed, accuracy in ((0, 0.5), (1, 0.75)):
        folder = make_run(tmp_path / "runs" / f"main-{seed}", (f"seed={seed}", "scale.strips=0", job), n=8, steps=2)
        results = read_json(folder / "results.json")
        write_json(folder / "results.json", results | {"counts": {"accuracy": accuracy, "of": 8}})
    folders, out, _ = find_runs([str(tmp_path / "runs")])
    measures = measures_of_jobs([[*MAIN_JOB, "mystages.Counting"]])
    sweep = Sweep.of("x", [load(f, measures) for f in folders], measures)
    (means,) = sweep.means.values()
    assert [m.key for m in sweep.measures][-1] == "counts.accuracy"  # what leads to no number is not shown
    shown = means["counts.accuracy"]
    assert (shown.value, shown.low, shown.high, shown.n) == (0.625, 0.5, 0.75, 2) and "only 2 values" in shown.note
    assert sweep.title == MEANS and means["team after RL"].n == 8  # the others keep their intervals over samples
    report_sweep(folders, out)
    for name in ("sweep.html", "sweep.md"):
        text = (out / name).read_text(encoding="utf-8")
        assert "0.625" in text and "counts.accuracy is one number per run" in text


def test_the_main_job_has_the_teams_measures() -> None:
    assert measures_of_jobs([MAIN_JOB, MAIN_JOB]) is TEAM


def test_a_dotted_key_is_looked_up_in_the_results() -> None:
    value = result_measure("a.b").value
    assert (value({"a": {"b": 2}}), value({"a": {"b": True}}), value({"a": 3}), value({})) == (2.0, None, None, None)
