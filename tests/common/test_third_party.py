"""Lines of libraries are in the log, ours on the terminal."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import SaveFailed
from common.progress import say
from common.third_party import NAME, library_lines, log_libraries, where_to_look


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    before = list(logging.getLogger().handlers)
    log_libraries(tmp_path)
    yield tmp_path / NAME
    log_libraries(None)
    logging.getLogger().handlers = before


def test_lines_of_libraries_go_to_the_log_and_ours_to_the_terminal(
    log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    say("ours, before")
    kept = None
    with library_lines():
        print("python")
        print("warning", file=sys.stderr)
        os.write(2, b"C++\n")
        subprocess.run(["sh", "-c", "echo compiler; echo probe >&2"], check=True)
        with library_lines():
            os.write(1, b"nested\n")
        os.write(1, b"still\n")
        kept = sys.stderr  # as a logging handler does
        say("ours, within")
    print("after")
    os.write(2, b"error\n")
    kept.write("later\n")
    out, err = capfd.readouterr()
    assert out == "ours, before\nours, within\nafter\n" and err == "error\n"
    assert log.read_text() == "python\nwarning\nC++\ncompiler\nprobe\nnested\nstill\nlater\n"
    assert str(log) in where_to_look()


def test_an_error_leaves_the_terminal_as_it_was(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError), library_lines():
        raise ValueError
    say("back")
    assert capfd.readouterr().out == "back\n"


def test_without_a_log_lines_stay_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with library_lines():
        os.write(1, b"here\n")
    assert capfd.readouterr().out == "here\n" and where_to_look() == ""


def test_warnings_of_ours_are_shown_and_those_of_libraries_logged(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with library_lines():
        logging.getLogger("rl.watch").warning("a step was skipped")
        logging.getLogger("some_library.core").warning("deprecated")
    out, err = capfd.readouterr()
    assert "a step was skipped\n" in out and "deprecated" not in out + err
    assert "some_library.core: deprecated" in log.read_text() and "skipped" not in log.read_text()


def test_a_folder_that_cannot_be_made_is_an_error_of_one_line_and_nothing_stays_redirected(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    before = list(logging.getLogger().handlers)
    log_libraries(tmp_path / "taken")
    try:
        for _ in range(2):
            with pytest.raises(SaveFailed, match=r"cannot write .*log\.txt.* verbose=true"), library_lines():
                raise AssertionError
        say("here")
    finally:
        log_libraries(None)
        logging.getLogger().handlers = before
    assert capfd.readouterr().out == "here\n"
