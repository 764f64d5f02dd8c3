"""status.json and error.txt of a run, whatever happens to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import BadInput
from common.files import read_json
from experiments.runs.status import kept, note_score, said, status_of


def test_a_run_that_ends_well_says_so_with_its_times_and_words(tmp_path: Path) -> None:
    with kept(tmp_path, "seed=3"):
        during = read_json(tmp_path / "status.json")
    assert during["state"] == "running" and during["job"] == "seed=3" and during["process"] > 0
    status = status_of(tmp_path)
    assert status["state"] == "finished" and status["started"] <= status["ended"]
    note_score(tmp_path, 0.5)
    assert status_of(tmp_path) == status | {"score": 0.5}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BadInput("no such\ncolour"), "no such colour"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (SystemExit(), "SystemExit"),
    ],
)
def test_a_failed_run_keeps_its_error_and_the_traceback(tmp_path: Path, error: BaseException, message: str) -> None:
    with pytest.raises(type(error)), kept(tmp_path, "x"):
        raise error
    assert status_of(tmp_path)["state"] == "failed" and status_of(tmp_path)["error"] == message == said(error)
    assert "test_a_failed_run_keeps" in (tmp_path / "error.txt").read_text()


def test_a_run_that_was_stopped_did_not_fail_and_the_next_try_forgets_the_last_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput), kept(tmp_path, "x"):
        raise BadInput("no")
    with pytest.raises(KeyboardInterrupt), kept(tmp_path, "x"):
        assert not (tmp_path / "error.txt").exists()
        raise KeyboardInterrupt("stopped during GRPO")
    assert status_of(tmp_path)["state"] == "stopped" and status_of(tmp_path)["error"] == "stopped during GRPO"
    assert not (tmp_path / "error.txt").exists()


def test_a_disk_that_refuses_does_not_hide_the_error(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(BadInput, match="the real one"), kept(folder, "x"):
        (folder / "status.json").unlink()
        folder.rmdir()
        folder.write_text("a file in its place")
        raise BadInput("the real one")


def test_a_run_of_before_has_no_status(tmp_path: Path) -> None:
    assert status_of(tmp_path) == {}
