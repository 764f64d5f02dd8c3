"""What defines a run, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import BadData, MissingFile
from conf.schema import RunConfig
from experiments.runs.cli import compose, typed
from experiments.runs.identity import config_text, identity, load_config, run_folder, run_hash

SAME = (
    "paths.outputs=elsewhere",
    "tracker=wandb",
    "tracker=wandb tracker.project=x",
    "force=true",
    "verbose=true",
    "engine.device=cpu",
    "scale.strips=3",
    "algo.checkpoint_every=1",
)
OTHER = (
    "seed=1",
    "reward=f1",
    "algo.lr=1e-3",
    "execution=multi",
    "scale.test_samples=7",
    "engine.threads=2",
    "algo=dapo",
)


def config(*overrides: str) -> RunConfig:
    return typed(compose("run", list(overrides)))


@pytest.mark.parametrize("override", SAME)
def test_where_and_how_a_run_is_watched_does_not_define_it(override: str) -> None:
    assert run_hash(identity(config(*override.split()))) == run_hash(identity(config()))


@pytest.mark.parametrize("override", OTHER)
def test_what_changes_a_result_defines_the_run(override: str) -> None:
    assert run_hash(identity(config(override))) != run_hash(identity(config()))


def test_the_content_of_checkpoint_and_data_counts_and_not_their_place(tmp_path: Path) -> None:
    for name, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cm.jsonl").write_text(content)
    a, b, c = (run_hash(identity(config("benchmark=mice_text", f"benchmark.path={tmp_path / n}"))) for n in "abc")
    assert a == b != c


def test_the_folder_is_name_and_hash() -> None:
    folder = run_folder(config("name=mine", "paths.outputs=there"))
    assert folder.parent == Path("there")
    assert folder.name.startswith("mine-") and len(folder.name) == len("mine-") + 8


def test_a_saved_configuration_comes_back_as_it_was(tmp_path: Path) -> None:
    mine = config("reward=f1", "algo.dual_clip=3", "seed=4")
    (tmp_path / "config.yaml").write_text(config_text(mine))
    assert load_config(tmp_path) == mine


def test_a_folder_that_is_no_run_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"config\.yaml"):
        load_config(tmp_path)
    (tmp_path / "config.yaml").write_text("seed: [1\n")
    with pytest.raises(BadData, match=r"config\.yaml"):
        load_config(tmp_path)
    (tmp_path / "config.yaml").write_text("sead: 1\n")
    with pytest.raises(BadData, match="sead"):
        load_config(tmp_path)
