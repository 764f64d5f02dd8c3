"""Fixtures of reports and runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.made_up_runs import make_run


@pytest.fixture
def finished_run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "main-0a1b2c3d")
