"""A sweep's list of runs, its last lines, and the names that become folders."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import BadInput
from common.filenames import check_name
from common.files import write_json
from experiments.runs import cli
from experiments.runs.sweeps import note_sweep


def test_runs_that_end_at_the_same_time_are_all_listed(tmp_path: Path) -> None:
    config = replace(cli.typed(cli.compose("run", [f"paths.outputs={tmp_path}"])), sweep="run-1")
    folders = [tmp_path / f"main-{i:08x}" for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda folder: note_sweep(config, folder), folders * 2))
    listed = (tmp_path / "sweeps/run-1/runs.txt").read_text().splitlines()
    assert sorted(listed) == sorted(str(f.resolve()) for f in folders)


def test_the_end_of_a_sweep_says_where_it_is_and_how_to_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(config) -> None:  # type: ignore[no-untyped-def]
        if config.seed == 2:
            raise BadInput("this one cannot")
        state = "pruned" if config.seed == 4 else "finished"
        write_json(tmp_path / f"main-{config.seed}" / "status.json", {"state": state})
        note_sweep(config, tmp_path / f"main-{config.seed}")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run", "-m", "seed=1,2,3,4", f"paths.outputs={tmp_path}", "hydra/launcher=basic"])
    with pytest.raises(SystemExit) as end:
        cli.command("run", main)
    assert end.value.code == 2
    said = " ".join(capsys.readouterr().out.split())
    folder = tmp_path / "sweeps" / cli.sweep_id("run", sys.argv[1:])
    assert (
        f"sweep: {folder}, 2 finished runs, 1 pruned their tables and plots: python -m experiments.report {folder}"
        in said
    )


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("tracker=wandb tracker.group=../../elsewhere", "tracker.group"),
        (f"tracker=wandb tracker.group={'x' * 129}", "tracker.group has 129 characters; give at most 128"),
        ("tracker=wandb tracker.project=a/b", "tracker.project"),
        ("name=../x", "name="),
        ("name=.hidden", "name="),
        (f"name={'x' * 81}", "name has 81 characters"),
        ("sweep=../x", "sweep="),
        ("judge.name=../x", "judge.name="),
        ("benchmark.name=a/b", "benchmark.name="),
        ("editor.name=/etc", "editor.name="),
        ("execution.name=..", "execution.name="),
    ],
)
def test_a_name_that_becomes_a_folder_is_checked_before_the_start(words: str, key: str) -> None:
    with pytest.raises(BadInput) as refused:
        cli.check("run", words.split())
    assert key in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["main", "Qwen 2.5", "模型-1", "a_b+c@d.e", ""])
def test_plain_names_of_any_language_pass(name: str) -> None:
    check_name(name, "name")
