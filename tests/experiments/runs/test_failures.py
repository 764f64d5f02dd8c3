"""Jobs of a sweep that failed are named by its report until they succeed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import BadInput, MissingFile
from conf.schema import RunConfig
from experiments import run
from experiments.reports.sweep.find import find_runs
from experiments.reports.sweep.report import report_sweep
from experiments.runs.failures import failures_in
from experiments.runs.pruning import Pruned
from tests.made_up_runs import configured, make_run


def in_sweep(outputs: Path, seed: int) -> RunConfig:
    config = configured((f"seed={seed}", f"paths.outputs={outputs}"))
    return replace(config, sweep="run-1")


def test_a_sweeps_report_names_the_jobs_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    sweep = tmp_path / "sweeps" / "run-1"
    config = in_sweep(tmp_path, 7)

    def ends(error: Exception) -> None:
        def stages(config: RunConfig) -> None:
            raise error

        monkeypatch.setattr(run, "the_stages", stages)

    ends(BadInput("the reward\ncould not be computed"))
    with pytest.raises(BadInput):
        run.main(config)
    assert failures_in(sweep) == ["main, seed 7: failed: the reward could not be computed"]
    with pytest.raises(MissingFile, match="could not be computed"):  # nothing but failures: the report says so
        find_runs([str(sweep)])
    done = [make_run(tmp_path / f"main-{s}", (f"seed={s}", "scale.strips=0"), n=8, steps=2) for s in (0, 1)]
    (sweep / "runs.txt").write_text("".join(f"{folder}\n" for folder in done))
    found = find_runs([str(sweep)])
    page = report_sweep(found.runs, found.out, found.absent).read_text(encoding="utf-8")
    assert "main, seed 7: failed: the reward could not be computed" in page and "1 of the sweep’s runs" in page
    assert "main, seed 7: failed" in (sweep / "sweep.md").read_text(encoding="utf-8")
    assert "in no table: main, seed 7: failed" in capsys.readouterr().out
    ends(Pruned("others do better"))
    assert run.main(config) is None and failures_in(sweep) == []  # tried again, and no failure this time


def test_a_run_of_no_sweep_leaves_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(config: RunConfig) -> None:
        raise BadInput("no")

    monkeypatch.setattr(run, "run_job", broken)
    with pytest.raises(BadInput):
        run.main(replace(in_sweep(tmp_path, 1), sweep=""))
    assert not list(tmp_path.rglob("*.json"))
