"""Fixtures of reports and runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.made_up_runs import make_run


@pytest.fixture(scope="session")
def made_up_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run to read."""
    return make_run(tmp_path_factory.mktemp("made_up") / "main-0a1b2c3d")


@pytest.fixture
def finished_run(made_up_run: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(made_up_run, tmp_path / made_up_run.name))
