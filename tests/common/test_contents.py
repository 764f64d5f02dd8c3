"""Digests of files: what is in them counts, and where they lie does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.contents import BLOCK, DISTANCE, SMALL, WHOLE, digest
from common.errors import BadInput


def folder(root: Path, name: str, **files: str) -> Path:
    for file, text in files.items():
        path = root / name / file.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / name


def large(path: Path, size: int, *at: int) -> Path:
    """A sparse file of zeros with one other byte at each of these places."""
    with path.open("wb") as stream:
        stream.truncate(size)
        for place in at:
            stream.seek(place)
            stream.write(b"x")
    return path


def test_names_within_the_folder_and_contents_count_and_its_place_does_not(tmp_path: Path) -> None:
    one = digest(folder(tmp_path, "a", x="1", y__z="2"), ["**/*"])
    assert one == digest(folder(tmp_path, "b", x="1", y__z="2"), ["**/*"])
    others = [folder(tmp_path, "c", x="1", y__z="3"), folder(tmp_path, "d", x="1", z="2"), folder(tmp_path, "e", x="1")]
    assert len({one, *(digest(o, ["**/*"]) for o in others)}) == 4
    assert digest(folder(tmp_path, "f", x="1", y__z="2", more="3"), ["x", "y/*"]) == one  # no other file counts


def test_a_file_named_itself_is_its_content(tmp_path: Path) -> None:
    a, b, c = (folder(tmp_path, "p", **{n: t}) / n for n, t in (("a", "same"), ("b", "same"), ("c", "else")))
    assert digest(a) == digest(b) != digest(c)


def test_what_is_named_by_a_link_is_read(tmp_path: Path) -> None:
    """As the Hub's cache and users' folders of pictures have them."""
    data = folder(tmp_path, "elsewhere", p="1")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "pictures").symlink_to(data)
    one = digest(tmp_path / "set", ["**/*"])
    (data / "p").write_text("2")
    assert digest(tmp_path / "set", ["**/*"]) != one


@pytest.mark.parametrize("place", [0, 99, BLOCK, 64 * DISTANCE + 7, WHOLE - DISTANCE + 3, WHOLE])
def test_of_a_large_file_size_head_tail_and_blocks_between_count(tmp_path: Path, place: int) -> None:
    """Of a file just above the limit every MiB is looked at, and the last byte."""
    size = WHOLE + 1
    where = place if place < BLOCK or place == WHOLE else place // DISTANCE * DISTANCE + place % BLOCK
    assert digest(large(tmp_path / "a", size)) != digest(large(tmp_path / "b", size, where))
    assert digest(large(tmp_path / "a", size)) != digest(large(tmp_path / "b", size + 1))


def test_small_files_beside_large_ones_are_read_whole(tmp_path: Path) -> None:
    large(tmp_path / "model.safetensors", WHOLE + 1)
    large(tmp_path / "tokenizer.json", SMALL)
    one = digest(tmp_path, ["*"])
    large(tmp_path / "tokenizer.json", SMALL, BLOCK + 12345)
    assert digest(tmp_path, ["*"]) != one


def bytes_read() -> int:
    """How many bytes this process has asked the system for so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("rchar:")))


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts what a process has read")
def test_of_sixteen_gigabytes_less_than_a_hundredth_is_read(tmp_path: Path) -> None:
    for i in range(4):
        large(tmp_path / f"model-{i}.safetensors", 4 << 30, i)
    began = bytes_read()
    digest(tmp_path, ["*.safetensors"])
    assert bytes_read() - began < (16 << 30) // 100


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="neither a file nor a folder"):
        digest(tmp_path / "pipe")
    with pytest.raises(BadInput, match="gone"):
        digest(folder(tmp_path, "a", x="1"), ["x"], also=[tmp_path / "gone"])
