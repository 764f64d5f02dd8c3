"""Files and folders are whole or as they were, whatever goes wrong while they are written."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.atomic import atomic_file, atomic_folder
from common.errors import MissingFile, SaveFailed
from common.files import write_bytes


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(writes=st.lists(st.tuples(st.lists(st.binary(max_size=8), max_size=4), st.booleans()), max_size=6))
def test_a_file_holds_the_last_write_that_ended_well(tmp_path: Path, writes: list[tuple[list[bytes], bool]]) -> None:
    path = tmp_path / "new folder" / "file"
    path.unlink(missing_ok=True)
    expected = None
    for parts, fails in writes:
        try:
            with atomic_file(path) as file:
                for part in parts:
                    file.write(part)
                if fails:
                    raise KeyError("the writer's own error")
            expected = b"".join(parts)
        except KeyError:
            assert fails
        assert (path.read_bytes() if path.exists() else None) == expected
        assert [p.name for p in path.parent.iterdir()] == (["file"] if expected is not None else [])


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_said_with_the_remedy_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = write_bytes(tmp_path / "file", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(SaveFailed, match=r"could not write .*file: No space left on device\. Buy a disk"):
        write_bytes(path, b"new", remedy="Buy a disk")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_errors_with_a_message_of_their_own_keep_it(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="the source"), atomic_file(tmp_path / "file"):
        raise MissingFile("the source is gone")


def test_threads_that_write_one_path_at_a_time_never_mix(tmp_path: Path) -> None:
    path, failures = tmp_path / "entry", []

    def write(byte: bytes) -> None:
        try:
            for _ in range(20):
                write_bytes(path, byte * 5000, shared=True, sync=False)
                assert len(set(path.read_bytes())) == 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(b,)) for b in (b"a", b"b", b"c", b"d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and [p.name for p in tmp_path.iterdir()] == ["entry"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for k in (1, 2):
        with atomic_folder(folder) as draft:
            (draft / "weights").write_text(str(k))
            (draft / f"only in {k}").touch()
            assert folder.exists() == (k == 2)
    with pytest.raises(ZeroDivisionError), atomic_folder(folder) as draft:
        (draft / "weights").write_text("3")
        raise ZeroDivisionError
    assert sorted(p.name for p in folder.iterdir()) == ["only in 2", "weights"]
    assert (folder / "weights").read_text() == "2" and [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_a_kill_left_of_a_folder_does_not_get_into_the_next(tmp_path: Path) -> None:
    (tmp_path / ".model.part").mkdir()
    (tmp_path / ".model.part" / "stale").touch()
    with atomic_folder(tmp_path / "model") as draft:
        (draft / "fresh").touch()
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["fresh"]
