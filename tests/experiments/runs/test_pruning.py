"""A run of a sweep that is worse than the median at the same step is stopped; by hand, with means that a reader can check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from common.jsonl import Journal
from conf.schema.run import PruneConfig
from experiments.runs.cli import compose, typed
from experiments.runs.pruning import Pruned, Pruner, pruner_of
from experiments.runs.run import Run
from experiments.runs.status import kept, status_of

RULE = PruneConfig(metric="reward/mean", start=2, every=2, runs=3)


def journal(folder: Path, *values: float) -> Path:
    path = folder / "metrics.jsonl"
    Journal(path).append({"step": i, "reward/mean": v} for i, v in enumerate(values, 1))
    return path


def others(tmp_path: Path) -> list[Path]:
    """Means up to step 2: 0.1, 0.5 and 0.9; the last one never came to step 4."""
    return [
        journal(tmp_path / name, *values)
        for name, values in {"a": (0.0, 0.2, 0.0, 0.2), "b": (0.4, 0.6, 0.4, 0.6), "c": (0.8, 1.0)}.items()
    ]


def feed(pruner: Pruner, *values: float) -> None:
    for i, value in enumerate(values, 1):
        pruner.step({"step": i, "reward/mean": value})


def test_below_the_median_of_the_others_means_it_is_pruned(tmp_path: Path) -> None:
    with pytest.raises(
        Pruned, match=r"pruned at step 2: the mean reward/mean so far is 0\.45.* 3 other runs .*0\.5 or more"
    ):
        feed(Pruner(RULE, others(tmp_path)), 0.4, 0.5)
    feed(Pruner(RULE, others(tmp_path)), 0.4, 0.6)  # as good as the median


def test_nothing_is_pruned_before_the_start_between_looks_or_beside_too_few(tmp_path: Path) -> None:
    feed(Pruner(RULE, others(tmp_path)), 0.0)
    feed(Pruner(replace(RULE, start=3, every=5), others(tmp_path)), 0.0, 0.0)
    feed(Pruner(RULE, others(tmp_path)[:2]), 0.0, 0.0)
    feed(Pruner(replace(RULE, start=4), others(tmp_path)), 0.0, 0.0, 0.0, 0.0)  # only two came to step 4
    feed(Pruner(RULE, [tmp_path / "gone.jsonl"] * 4), 0.0, 0.0)


def test_the_steps_before_a_restart_count(tmp_path: Path) -> None:
    before = [{"step": 1, "reward/mean": 0.9}]
    Pruner(RULE, others(tmp_path), before).step({"step": 2, "reward/mean": 0.2})  # their mean is 0.55


def test_only_a_run_of_a_sweep_is_pruned_and_that_is_no_failure(tmp_path: Path) -> None:
    config = typed(compose("run", ["prune.metric=reward/mean", f"paths.outputs={tmp_path}"]))
    assert pruner_of(Run(config, tmp_path / "main-1"), "metrics.jsonl") is None
    config = replace(config, sweep="run-1")
    listing = tmp_path / "sweeps" / "run-1" / "runs.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text(f"{tmp_path / 'main-1'}\n{tmp_path / 'main-2'}\n")
    pruner = pruner_of(Run(config, tmp_path / "main-1"), "metrics.jsonl")
    assert pruner is not None and list(pruner.others) == [tmp_path / "main-2" / "metrics.jsonl"]
    (tmp_path / "main-1").mkdir()
    with pytest.raises(Pruned), kept(tmp_path / "main-1", "seed=1"):
        raise Pruned("pruned at step 2")
    assert status_of(tmp_path / "main-1")["state"] == "pruned" and not (tmp_path / "main-1" / "error.txt").exists()
