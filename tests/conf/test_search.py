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
