"""A job is a list of stages: ours, or classes of a user's own package; what is done is not done again."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from common.errors import BadInput, MissingFile
from common.files import read_json, write_text
from conf.schema import MAIN_JOB, RunConfig
from experiments.run import work
from experiments.runs import cli
from experiments.runs.evaluating import Arms, DecompositionsAfter, merged
from experiments.runs.identity import identity, run_hash
from experiments.runs.run import Run
from experiments.runs.stages import load_stages, panels_of, selected
from experiments.runs.sweeps import objective

MINE = """
    from common.files import write_json, read_json
    from experiments.runs.stages import Stage

    class Count(Stage):
        name = "count"
        metrics = ("mine.count",)
        panels = ("mypkg.page.PANEL",)

        def done(self, run):
            return (run.folder / "count.json").is_file()

        def run(self, run):
            run.enter("counting")
            write_json(run.folder / "count.json", {"seed": run.config.seed})
            with (run.folder / "calls.txt").open("a") as f:
                f.write("count ")

        def results(self, run):
            return {"mine": {"count": 2 * read_json(run.folder / "count.json")["seed"]}}

        def objective(self, run):
            return "mine.count"

    class Twin(Count):
        pass

    class NoStage:
        name = "none"
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    write_text(tmp_path / "mypkg_of_stages" / "__init__.py", textwrap.dedent(MINE))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "mypkg_of_stages"
    sys.modules.pop("mypkg_of_stages", None)


def config(*words: str) -> RunConfig:
    return cli.typed(cli.compose("run", list(words)))


def test_the_main_job_is_the_list_of_its_experiment() -> None:
    for name in ("main", "mice_text"):
        assert tuple(config(f"experiment={name}").job) == MAIN_JOB
    names = [s.name for s in load_stages(MAIN_JOB)]
    assert names == ["supervised", "before", "grpo", "after", "arms", "results"]


def test_panels_are_named_and_can_be_loaded() -> None:
    from experiments.reports.panels import load_panels
    from experiments.reports.run.page import PANELS

    paths = panels_of(load_stages(MAIN_JOB))
    assert set(paths) == set(PANELS) and len(load_panels(paths)) == len(paths)


def test_a_stage_of_ones_own_runs_once_adds_its_results_and_is_what_a_sweep_optimises(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.runs.evaluating.results", lambda folder, config: {"seed": config.seed})
    c = config("seed=4", f"job=[{package}.Count,experiments.runs.evaluating.Results]")
    run = Run(c, tmp_path / "run", stages=load_stages(c.job))
    run.folder.mkdir()
    work(run, selected(run.stages, ["count"]), {})
    assert (run.folder / "calls.txt").read_text() == "count " and not (run.folder / "results.json").exists()
    work(run, run.stages, {})
    assert (run.folder / "calls.txt").read_text() == "count "  # what is done is not done again
    values = read_json(run.folder / "results.json")
    assert values == {"seed": 4, "mine": {"count": 8}}
    assert objective(run, values) == 8.0


def test_an_interrupt_says_which_phase_it_stopped(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = config(f"job=[{package}.Count]")
    run = Run(c, tmp_path, stages=load_stages(c.job))

    def stop(run: Run) -> None:
        run.enter("counting sheep")
        raise KeyboardInterrupt("step 3")

    monkeypatch.setattr(run.stages[0], "run", stop)
    with pytest.raises(KeyboardInterrupt, match=r"stopped during counting sheep \(step 3\).*the same command goes on"):
        work(run, run.stages, {})


def test_unknown_stages_and_classes_that_are_none_are_named(package: str) -> None:
    stages = load_stages(MAIN_JOB)
    with pytest.raises(BadInput, match="no stage 'arm'; the nearest one is 'arms'"):
        selected(stages, ["grpo", "arm"])
    assert [s.name for s in selected(stages, ["arms", "before"])] == ["before", "arms"]  # in the order of the job
    for path, needle in (
        ("experiments.runs.training.Grpo", "has no Grpo; the nearest one is 'GRPO"),
        ("nowhere.Stage", "nowhere.Stage: there is no module nowhere"),
        ("Stage", "package.module.Class"),
        (f"{package}.NoStage", "is no stage"),
    ):
        with pytest.raises(BadInput, match=needle):
            load_stages([path])
    with pytest.raises(BadInput, match="two stages have the name 'count'"):
        load_stages([f"{package}.Count", f"{package}.Twin"])
    with pytest.raises(BadInput, match="has no stage"):
        load_stages([])


def test_which_part_is_run_does_not_define_a_run_but_another_job_does(tiny_vlm_path: Path) -> None:
    given = f"decomposer.checkpoint={tiny_vlm_path}"
    part = config(given, "stages=[before]", "objective=decomposition.after.goal")
    assert run_hash(identity(config(given))) == run_hash(identity(part))
    assert run_hash(identity(config(given, f"job=[{MAIN_JOB[0]}]"))) != run_hash(identity(part))
    assert part.stages == ["before"]


def test_a_stage_that_comes_too_early_says_what_is_missing(tmp_path: Path) -> None:
    run = Run(config(), tmp_path)
    for stage in (DecompositionsAfter(), Arms()):
        with pytest.raises(MissingFile, match=r"stages=\[grpo"):
            stage.run(run)


def test_the_value_that_a_sweep_optimises(tmp_path: Path) -> None:
    values = {"arms": {"agents_rl": {"sandbox": {"overall": 7.5}}}, "decomposition": {"after": {"goal": 0.5}}}
    stages = load_stages(MAIN_JOB)
    assert objective(Run(config(), tmp_path, stages=stages), values) == 7.5
    given = Run(config("objective=decomposition.after.goal"), tmp_path, stages=stages)
    assert objective(given, values) == 0.5
    text = Run(config("benchmark=mice_text"), tmp_path, stages=stages)
    assert objective(text, values) == 0.5  # no arms there
    with pytest.raises(
        BadInput, match=r"objective=decomposition.after.goals is no number .* nearest one is 'decomposition.after.goal'"
    ):
        objective(Run(config("objective=decomposition.after.goals"), tmp_path, stages=stages), values)


def test_nested_sections_are_joined() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "e": 5}) == {"a": {"b": 1, "c": 4}, "d": 3, "e": 5}


def test_the_command_returns_the_objective_to_hydra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sweep's jobs hand their value over: `command` gives back what `main` returned."""
    seen: list[float | None] = []
    original = cli.hydra.main

    def watching(**options):  # type: ignore[no-untyped-def]
        def decorate(task):  # type: ignore[no-untyped-def]
            def inner(cfg):  # type: ignore[no-untyped-def]
                seen.append(task(cfg))

            return original(**options)(inner)

        return decorate

    monkeypatch.setattr(cli.hydra, "main", watching)
    monkeypatch.setattr(sys, "argv", ["run", f"paths.outputs={tmp_path}", "hydra.verbose=false"])
    cli.command("run", lambda config: 2.5)
    assert seen == [2.5]
