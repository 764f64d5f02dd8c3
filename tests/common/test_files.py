"""Files that are whole or not there, chunks that a kill cannot tear, and one process per folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import BadInput, SaveFailed
from common.files import locked, move_contents_aside, read_json, write_json, write_text


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_json(tmp_path / "results.json", {"a": 1})

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveFailed, match="No space left") as caught:
        write_json(path, {"a": 2})
    assert "intact" in str(caught.value)
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_second_process_is_refused_and_a_killed_one_frees_the_folder(tmp_path: Path) -> None:
    hold = (
        "import sys,time;sys.path.insert(0,sys.argv[1]);from pathlib import Path;from common.files import locked\n"
        "with locked(Path(sys.argv[2])):\n print('held', flush=True); time.sleep(60)"
    )
    root = str(Path(__file__).parents[2])
    other = subprocess.Popen([sys.executable, "-c", hold, root, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    with pytest.raises(BadInput, match=str(other.pid)), locked(tmp_path):
        pass
    other.kill()
    other.wait()
    with locked(tmp_path):
        pass


def test_an_earlier_run_is_moved_aside_whole(tmp_path: Path) -> None:
    run = tmp_path / "main-1"
    for k in (1, 2):
        write_text(run / "config.yaml", f"run {k}")
        write_text(run / "eval" / "a.jsonl", "")
        aside = move_contents_aside(run)
        assert aside.name == f"main-1.old-{k}"
        assert (aside / "config.yaml").read_text() == f"run {k}" and (aside / "eval" / "a.jsonl").exists()
        assert not any(p.name != ".lock" for p in run.iterdir())
