"""Files that are whole or not there, chunks that a kill cannot tear, and one process per folder."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import BadInput, SaveFailed
from common.files import Rows, locked, move_contents_aside, read_json, write_json, write_text


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


@pytest.mark.parametrize("cut", [1, 7, 20, 33, 45])
def test_rows_go_on_at_the_last_whole_chunk_wherever_the_file_was_torn(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "eval" / "arm.jsonl"
    whole = [{"i": i, "v": i * i} for i in range(10)]

    def fill(stop: int = 99) -> None:
        rows = Rows(path, 10, 4)
        for chunk in rows.missing():
            if chunk.start >= stop:
                return
            rows.append([whole[i] for i in chunk])

    fill()
    once = path.read_bytes()
    path.write_bytes(once[: len(once) - cut])
    fill()
    assert path.read_bytes() == once


def test_chunks_are_the_same_after_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "arm.jsonl"
    path.write_text("".join(json.dumps({"i": i}) + "\n" for i in range(6)) + '{"i": 6')
    rows = Rows(path, 10, 4)
    assert [(c.start, c.stop) for c in rows.missing()] == [(4, 8), (8, 10)]
    assert len(path.read_text().splitlines()) == 4


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
