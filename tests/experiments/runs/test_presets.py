"""Every preset of conf/experiment, found by listing the folder: its head, its jobs, its stages, its plan, and the checks before
a run."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import pytest

from common.errors import MissingFile
from conf.schema import RunConfig
from experiments.preflight.estimates import compute
from experiments.preflight.limits import check_limits
from experiments.preflight.run import preflight
from experiments.runs import cli
from experiments.runs.checks import check_name, check_training
from experiments.runs.identity import run_folder
from experiments.runs.presets import FOLDER, Preset, presets, read_preset
from experiments.runs.stages import load_stages, selected

PLACEHOLDER = re.compile(r"(\S+)=<[^>]*>")
NEEDS_MORE = ("paper",)  # scales that a machine without GPUs, weights and keys refuses, naming them
ALL = presets()


@cache
def configured(words: tuple[str, ...]) -> RunConfig:
    return cli.typed(cli.compose("run", list(words)))


def words_of(preset: Preset, job: list[str], place: Path) -> tuple[str, ...]:
    """A job with what its command leaves to the user: folders."""
    return (*job, *(f"{key}={place}" for key in PLACEHOLDER.findall(preset.command)))


@pytest.mark.parametrize("preset", ALL, ids=lambda p: p.name)
def test_its_head_says_the_command_and_the_command_is_right(preset: Preset, tmp_path: Path) -> None:
    command = PLACEHOLDER.sub(rf"\1={tmp_path}", preset.command)
    words = command.removeprefix("python -m experiments.run").split()
    assert f"experiment={preset.name}" in words or preset.name == "main"
    searched = any(word.startswith("hydra/sweeper=") for word in words)
    assert ("-m" in words) == bool(preset.grid) or "," in preset.command or searched
    assert cli.check("run", words) is not None
    assert preset.expect.endswith(".") and preset.costs.endswith(".")
    assert re.search("measured|estimated|computed|not timed", preset.costs), "how is the cost known?"


@pytest.mark.parametrize("preset", ALL, ids=lambda p: p.name)
def test_every_value_of_its_grid_composes_into_a_run_of_its_own(preset: Preset, tmp_path: Path) -> None:
    """The first job, and those that differ from it in one value."""
    first = preset.jobs[0]
    jobs = [job for job in preset.jobs if sum(a != b for a, b in zip(job, first, strict=True)) < 2]
    configs = [configured(words_of(preset, job, tmp_path)) for job in jobs]
    for config in configs:
        check_name(config)
        assert selected(load_stages(config.job), config.stages)
    if configs[0].scale.name not in NEEDS_MORE and not PLACEHOLDER.search(preset.command):
        folders = {run_folder(config) for config in configs}
        assert len(folders) == len(configs)


@pytest.mark.parametrize("preset", ALL, ids=lambda p: p.name)
def test_the_plan_and_the_checks_before_a_run(preset: Preset, tmp_path: Path) -> None:
    """At tiny scale the first job could start here; what needs more is refused with a list of what is missing."""
    words = words_of(preset, preset.jobs[0], tmp_path)
    config = configured(words)
    stages = load_stages(config.job)
    if config.editor.has_pipeline:
        plan = compute(cli.typed(cli.compose("plan", list(words))), stages)
        assert plan["editor"]["flops"]["forward"] > 0
    check_limits(config)
    if config.scale.name in NEEDS_MORE or PLACEHOLDER.search(preset.command):
        with pytest.raises(MissingFile, match="missing:"):
            preflight(config, stages)
    else:
        preflight(config, stages)
        check_training(config)


def test_the_grid_of_a_preset_is_what_hydra_runs_and_the_command_line_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = read_preset("ablation_execution")
    assert len(preset.jobs) == 2 * 2 * 3
    seen: list[tuple[str, str, int]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv",
        ["run", "-m", "experiment=ablation_execution", "seed=7", f"paths.outputs={tmp_path}", "hydra/launcher=basic"],
    )  # fmt: skip
    cli.command("run", lambda config: seen.append((config.execution.name, config.editor.name, config.seed)))
    grid = [(e, editor, 7) for e in preset.grid["execution"] for editor in preset.grid["editor"]]
    assert sorted(seen) == sorted(grid)


def test_tables_of_one_paper_share_their_runs() -> None:
    """A run with the usual settings is the same folder, whichever table asks for it."""
    usual = run_folder(configured(()))
    for name in ("paper_main", "ablation_reward", "ablation_execution", "ablation_editor"):
        assert usual in {run_folder(configured(tuple(job))) for job in read_preset(name).jobs}, name


def test_a_head_without_its_parts_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.yaml").write_text("# @package _global_\n# something\n")
    monkeypatch.setattr("experiments.runs.presets.FOLDER", tmp_path)
    with pytest.raises(ValueError, match="must begin with"):
        read_preset("x")


def test_the_documentation_names_every_preset() -> None:
    text = (FOLDER.parents[1] / "docs" / "tables.md").read_text(encoding="utf-8")
    assert [p.name for p in ALL if f"`{p.name}`" not in text] == []
