"""Where an instruction comes from, and what is said where it cannot be read."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.errors import BadInput, MissingFile
from experiments.editing.requests import LONGEST, read_instruction


def test_a_text_is_kept_as_it_is_and_a_file_without_its_last_line_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "request.txt"
    file.write_bytes("\ufeffmake it 'red'\nand blue, 把星星\r\n".encode())
    assert read_instruction(" a, b ", None, 100) == " a, b "
    assert read_instruction(None, str(file), 100) == "make it 'red'\nand blue, 把星星"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"darker\n")))
    assert read_instruction("-", None, 100) == "darker"


def test_what_is_no_instruction_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, long, empty = tmp_path / "bad.txt", tmp_path / "long.txt", tmp_path / "empty.txt"
    bad.write_bytes(b"\xff\xfe\x00")
    long.write_bytes(b"a" * (LONGEST + 1))
    empty.write_text(" \n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    for text, file, said in [
        (None, None, "missing: instruction="),
        ("x", str(bad), "both given"),
        (None, str(bad), "no text in UTF-8"),
        (None, str(long), "more than 1,000,000 bytes"),
        (None, str(empty), "empty"),
        (None, str(tmp_path), "cannot be read"),
        ("-", None, "empty"),
        ("\u200b", None, "empty"),
    ]:
        with pytest.raises(BadInput, match=said):
            read_instruction(text, file, 100)
    with pytest.raises(MissingFile, match="none.txt"):
        read_instruction(None, str(tmp_path / "none.txt"), 100)
