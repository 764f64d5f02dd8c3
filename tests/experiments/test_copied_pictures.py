"""Pictures of a source are copied once, and anew where the source's content has changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.labels import TrainingRequest
from experiments.training_data.pictures import copy_pictures

CANDIDATES = [TrainingRequest(f"s-{i}", f"request {i}", "s", "x", row=i) for i in range(4)]
OTHERS = [TrainingRequest("t-0", "request", "t", "x", row=0)]


def copied(
    out: Path, content: str, source: str = "s", candidates: Sequence[TrainingRequest] = CANDIDATES
) -> tuple[list[int], set[bytes]]:
    """(the rows that were fetched, what lies there afterwards) with a source whose content is `content`."""
    fetched: list[int] = []

    def fetch(rows: Sequence[int]) -> Iterator[bytes]:
        for row in rows:
            fetched.append(row)
            yield b"\x89PNG" + f"{content} {row}".encode()

    paths = copy_pictures(candidates, fetch, out, source, content)
    return fetched, {(out / p).read_bytes() for p in paths.values()}


def test_another_content_under_the_same_ids_is_copied_anew(tmp_path: Path) -> None:
    every = [0, 1, 2, 3]
    assert copied(tmp_path, "old")[0] == every
    fetched, there = copied(tmp_path, "old")
    assert fetched == [] and b"\x89PNGold 2" in there
    assert copied(tmp_path, "x", "t", OTHERS)[0] == [0]
    fetched, there = copied(tmp_path, "new")
    assert fetched == every and there == {b"\x89PNG" + f"new {i}".encode() for i in range(4)}
    assert copied(tmp_path, "new")[0] == [] and copied(tmp_path, "x", "t", OTHERS)[0] == []  # the other source's stay
    (tmp_path / "pictures" / ".sources.json").unlink()  # a folder of an earlier version does not say what it holds
    assert copied(tmp_path, "new")[0] == every
