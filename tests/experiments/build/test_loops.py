"""Settings of a closed loop that do not go together are refused, and its stage knows what is left to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.errors import BadInput
from common.jsonl import Journal
from common.parts import Part
from conf.schema import RunConfig
from experiments.build.loops import check_loop, no_reward
from experiments.evaluation.budgets import ARMS
from experiments.evaluation.resolve import composed
from experiments.runs.budgets import FILE, Budgets
from experiments.runs.checks import loop_note
from experiments.runs.stages import load_stages, panels_of


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return composed(["experiment=loop"])


class Other(Part):
    """A part of another name."""

    name, text_only, verdicts = "other", True, False


def test_the_loop_job_is_whole(config: RunConfig) -> None:
    check_loop(config)
    assert config.execution.looped and config.algo.sft.steps > 0
    stages = load_stages(config.job)
    assert [s.name for s in stages] == ["supervised", "grpo", "arms", "budgets", "results"]
    assert "experiments.reports.run.budgets.PANEL" in panels_of(stages)


@pytest.mark.parametrize(
    ("group", "said"),
    [("reward", "set reward=outcome"), ("benchmark", "is text alone"), ("judge", "gives no verdicts")],
)
def test_what_a_loop_cannot_be_trained_with_is_refused(config: RunConfig, group: str, said: str) -> None:
    other = replace(config, **{group: Other()})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=said):
        check_loop(other)
    check_loop(replace(other, execution=replace(config.execution, name="single")))
    with pytest.raises(BadInput, match="execution=loop"):
        no_reward([], [], [])


def test_a_loop_without_a_supervised_part_is_noted(config: RunConfig) -> None:
    assert not loop_note(config) and not loop_note(composed([]))
    assert "experiment=loop teaches it first" in loop_note(composed(["experiment=loop", "algo.sft.steps=0"]))


def test_a_baseline_that_is_no_run_is_missing_before_anything_starts(config: RunConfig, tmp_path: Path) -> None:
    given = replace(config, execution=replace(config.execution, baseline=str(tmp_path)))
    assert "execution.baseline=" in next(iter(Budgets().missing(given, None)))  # type: ignore[arg-type]
    (tmp_path / "decomposer").mkdir()
    assert not list(Budgets().missing(given, None))  # type: ignore[arg-type]


def test_the_stage_does_nothing_twice(config: RunConfig, tmp_path: Path) -> None:
    small = replace(config, scale=replace(config.scale, test_samples=2))
    run = SimpleNamespace(config=small, folder=tmp_path)
    row = {"scores": [0.0, 5.0], "flops": [0.0, 1.0], "calls": 1}
    Journal(tmp_path / FILE).append(
        [{"arm": arm, "unit": 0} | row for arm in ARMS] + [{"arm": "loop", "unit": 1} | row]
    )
    assert Budgets()._missing(run) == {arm: [1] for arm in ARMS if arm != "loop"}  # type: ignore[arg-type]
    Journal(tmp_path / FILE).append([{"arm": arm, "unit": 1} | row for arm in ARMS if arm != "loop"])
    assert Budgets().done(run)  # type: ignore[arg-type]
    curves = Budgets().results(run)["budgets"]  # type: ignore[arg-type]
    assert list(curves) == list(ARMS) and curves["loop"][6]["overall"] == 5.0 and curves["loop"][6]["calls"] == 1
