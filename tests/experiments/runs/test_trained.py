"""Which models a command with run= uses: those that the run itself used in its arms."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import MissingFile
from conf.schema import EvaluateConfig, RunConfig, ServeConfig
from experiments.evaluation.resolve import resolve
from experiments.runs.cli import compose, typed
from experiments.runs.identity import START, TRAINED, config_text
from experiments.runs.run import Run
from experiments.runs.team_loader import TeamLoader
from experiments.runs.trained import before_rl, trained, writer_in
from experiments.serving.loading import decomposers

OWN = "decomposer.max_new_tokens=33"  # by which the run's settings can be told from the command's


def run_in(folder: Path, *words: str) -> Run:
    """A run as it lies on disk after its training."""
    config = typed(compose("run", [OWN, *words]))
    assert isinstance(config, RunConfig)
    (folder / TRAINED).mkdir(parents=True)
    if config.algo.sft.steps:
        (folder / START).mkdir()
    (folder / "config.yaml").write_text(config_text(config))
    return Run(config, folder)


def test_every_command_takes_the_runs_own_decomposers(tmp_path: Path) -> None:
    """A sequencer that asks a model gets the backbone from before RL, as in the run."""
    run = run_in(tmp_path, "algo.sft.steps=7", "sequencer=vlm")
    demo = typed(compose("demo", [f"run={tmp_path}", "sequencer=vlm"]))
    start, after = before_rl(demo), trained(demo)
    assert (Path(start.checkpoint), Path(after.checkpoint)) == (run.start, run.trained)
    assert start.max_new_tokens == after.max_new_tokens == 33
    loader = TeamLoader(demo, "experiments.demo")  # of edit and session, too
    assert loader._parts.start == run.start and loader.decomposer == after
    serve = typed(compose("serve", [f"run={tmp_path}"]))
    assert isinstance(serve, ServeConfig)
    assert decomposers(serve, ("agents", "agents_rl")) == {"agents": start, "agents_rl": after}
    words = [f"run={tmp_path}", "out=x", "arms=all"]
    evaluated = typed(compose("evaluate", words))
    assert isinstance(evaluated, EvaluateConfig)
    spec = resolve(evaluated, words)
    assert (spec.start, spec.trained) == (run.start, run.trained)


def test_a_run_without_a_supervised_start_began_with_its_checkpoint(tmp_path: Path) -> None:
    run = run_in(tmp_path, "algo.sft.steps=0", "decomposer.checkpoint=elsewhere")
    assert Path(before_rl(typed(compose("edit", [f"run={tmp_path}"]))).checkpoint) == run.start == Path("elsewhere")


def test_without_a_run_both_are_the_configured_one() -> None:
    config = typed(compose("edit", []))
    assert before_rl(config) == trained(config) == config.decomposer


@pytest.mark.parametrize("place", ["intent", "sessions/edit_r2/intent"])
def test_a_run_with_a_writer_alone_gives_the_writer_and_nothing_else(tmp_path: Path, place: str) -> None:
    run_in(tmp_path)
    (tmp_path / TRAINED).rmdir()
    (tmp_path / place).mkdir(parents=True)
    config = typed(compose("session", [f"run={tmp_path}", "intent=tiny"]))
    assert before_rl(config) == trained(config) == config.decomposer
    assert writer_in(config.run) == tmp_path / place
    config.intent = None
    with pytest.raises(MissingFile, match="has no trained decomposer yet"):
        trained(config)
