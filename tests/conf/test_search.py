"""A search over a sweep optimises what the command returns."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from experiments.runs import cli

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs `make extra-slurm`")


def test_an_optuna_search_gets_the_value_that_a_run_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    def main(config: Any) -> float:
        rates.append(config.algo.lr)
        return abs(config.algo.lr - 2e-4)

    words = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1", "hydra/launcher=basic"]
    words += ["algo.lr=interval(1e-5,1e-3)", "reward.weights.goal=0.4", f"paths.outputs={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["experiments.run", *words])
    monkeypatch.chdir(tmp_path)
    cli.command("run", main)
    (result,) = tmp_path.rglob("optimization_results.yaml")
    best = OmegaConf.load(result)
    assert len(rates) == 3 and best.best_value == pytest.approx(min(abs(r - 2e-4) for r in rates))


def test_the_preset_searches_within_its_ranges_and_goes_on_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, float]] = []

    def main(config: Any) -> float | None:
        seen.append((config.algo.lr, config.algo.clip_high))
        assert config.objective == "decomposition.after.goal" and config.prune.metric == "reward/mean"
        return None if len(seen) == 2 else -config.algo.lr  # the second run has no value, as one that failed

    words = ["-m", "experiment=hparams", "hydra/sweeper=hparams", "hydra.sweeper.n_trials=4", "hydra/launcher=basic"]
    monkeypatch.setattr(
        sys, "argv", ["experiments.run", *words, "algo.lr=interval(1e-4,2e-4)", f"paths.outputs={tmp_path}"]
    )
    monkeypatch.chdir(tmp_path)
    cli.command("run", main)
    (result,) = tmp_path.rglob("optimization_results.yaml")
    best = OmegaConf.load(result)
    told = [lr for i, (lr, _) in enumerate(seen) if i != 1]
    assert len(seen) == 4 and best.best_value == pytest.approx(max(-lr for lr in told))
    assert all(1e-4 <= lr <= 2e-4 and 0.2 <= clip <= 0.4 for lr, clip in seen)


def test_a_pruned_job_is_told_to_a_search_and_is_no_failure_of_a_grid() -> None:
    from experiments.sweeping.job import Job
    from experiments.sweeping.launcher import returned

    job = Job(1, ("seed=1",), "seed=1", Path("log"), score=2.5)
    job.end("finished")
    assert returned(job, grid=False).return_value == 2.5
    job.end("pruned")
    assert returned(job, grid=True).return_value == 2.5
    with pytest.raises(ValueError, match="seed=1: pruned"):
        float(returned(job, grid=False).return_value)
