"""Commands work from any folder, and only an editable installation is made."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from common.files import write_text
from common.places import ROOT, assets_folder, moved
from experiments.preflight.machine import missing_of
from experiments.runs import cli
from experiments.runs.identity import config_text, load_config, run_hash


def run_config():  # type: ignore[no-untyped-def]
    return cli.typed(cli.compose("run", []))


def test_the_tiny_checkpoints_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.runs.identity import identity

    monkeypatch.chdir(ROOT)
    here = run_config()
    defined = run_hash(identity(here))
    monkeypatch.chdir(tmp_path)
    elsewhere = run_config()
    assert here.paths.assets == "assets" and elsewhere.paths.assets == str(ROOT / "assets")
    assert not missing_of(elsewhere.decomposer, elsewhere.editor)
    assert elsewhere.paths.outputs == "outputs"  # of the folder where the command is called
    assert run_hash(identity(elsewhere)) == defined
    monkeypatch.setenv("IMAGEEDIT_ASSETS", str(tmp_path / "other"))
    assert run_config().paths.assets == assets_folder() == str(tmp_path / "other")


def test_a_run_made_in_the_checkout_can_be_used_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    write_text(tmp_path / "run" / "config.yaml", config_text(run_config()))
    monkeypatch.chdir(tmp_path)
    config = load_config("run")
    assert config.decomposer.checkpoint == str(ROOT / "assets/tiny/decomposer_direct")
    assert config.editor.checkpoint == str(ROOT / "assets/tiny/qwen_image_edit")
    assert not missing_of(config.decomposer, config.editor)


def test_only_what_lies_in_the_folder_moves() -> None:
    values = {"a": "assets/tiny", "b": ["assets", "assets2/x", 3, None], "c": {"d": "my/assets/tiny"}}
    assert moved(values, "assets", "/x") == {
        "a": "/x/tiny",
        "b": ["/x", "assets2/x", 3, None],
        "c": {"d": "my/assets/tiny"},
    }


def test_a_copy_is_refused_with_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    spec = importlib.util.spec_from_file_location("build_backend", ROOT / "scripts/build_backend.py")
    assert spec is not None and spec.loader is not None
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    for build in (backend.build_wheel, backend.build_sdist):
        with pytest.raises(SystemExit, match="`make setup` in the checkout, or `pip install -e .`"):
            build(str(tmp_path))
    assert not list(tmp_path.iterdir()) and callable(backend.build_editable)


def test_the_console_command_is_the_list_of_commands() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"imageedit": "experiments.__main__:main"}
    assert project["build-system"]["build-backend"] == "build_backend"
    assert "--editable" in (ROOT / "scripts/setup.sh").read_text()


def test_the_configuration_that_is_written_has_no_open_references(tmp_path: Path) -> None:
    assert "${" not in OmegaConf.to_yaml(OmegaConf.create(config_text(run_config())))
