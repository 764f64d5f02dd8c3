"""Rows and shares: nothing lost, nothing twice, whoever writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput
from experiments.evaluation.claims import claim
from experiments.evaluation.rows import RowFile, fingerprint, read_rows
from experiments.evaluation.shares import Share


def row(unit: int, **more: object) -> dict[str, object]:
    return {"unit": unit, "turn": 0, **more}


def test_a_line_that_a_kill_tore_is_cut_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "0-of-1.jsonl"
    with RowFile(path) as file:
        file.append([row(0), row(1)])
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"unit": 2, "tu')
    assert list(read_rows(tmp_path)) == [(0, 0), (1, 0)]
    with RowFile(path) as file:
        file.append([row(2)])
    assert path.read_bytes().startswith(whole)
    assert list(read_rows(tmp_path)) == [(0, 0), (1, 0), (2, 0)]


@pytest.mark.parametrize("torn", [b"", b"{", b"x" * 200_000])
def test_a_file_of_one_torn_line_begins_anew(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(torn)
    with RowFile(path) as file:
        file.append([row(7)])
    assert list(read_rows(tmp_path)) == [(7, 0)]


def test_of_what_was_done_again_the_one_that_worked_counts(tmp_path: Path) -> None:
    with RowFile(tmp_path / "0-of-2.jsonl") as file:
        file.append([row(0, valid=True, n=1), row(1, valid=False, n=1), row(2, failure="refused", n=1)])
    with RowFile(tmp_path / "1-of-2.jsonl") as file:
        file.append([row(0, valid=False, n=2), row(1, valid=True, n=2), row(2, failure="", n=2)])
    assert [r["n"] for r in read_rows(tmp_path).values()] == [1, 2, 2]


def test_a_new_row_changes_the_fingerprint(tmp_path: Path) -> None:
    with RowFile(tmp_path / "a.jsonl") as file:
        file.append([row(0)])
        before = fingerprint([tmp_path])
        file.append([row(1)])
    assert fingerprint([tmp_path]) != before


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_shards_and_their_local_parts_divide_the_units(units: int, chunk: int, shards: int, local: int) -> None:
    for split in (1, local):
        parts = [p for i in range(shards) for p in Share(i, shards).split(split)]
        blocks = [b for p in parts for b in p.blocks(units, chunk)]
        assert sorted(u for b in blocks for u in b) == list(range(units))
        assert all(
            [u for u in range(units) if p.has(u, chunk)] == [u for b in p.blocks(units, chunk) for u in b]
            for p in parts
        )
    assert {tuple(b) for b in blocks} == {
        tuple(b) for b in Share().blocks(units, chunk)
    }  # whole blocks, as one shard has


def test_the_same_shard_twice_and_other_numbers_of_shards_are_refused(tmp_path: Path) -> None:
    with Share(0, 2).working(tmp_path), Share(1, 2).working(tmp_path):
        for share in (Share(0, 2), Share(0, 1), Share(2, 3)):
            with pytest.raises(BadInput, match="wait for"), share.working(tmp_path):
                pass
    with Share(0, 1).working(tmp_path):  # locks of before are not held
        pass
    with pytest.raises(BadInput, match="shard=3 shards=3"):
        Share(3, 3)


def test_a_folder_takes_no_other_claim(tmp_path: Path) -> None:
    claim(tmp_path / "a", {"model": "w", "seed": 0}, "verdicts", "choose another")
    claim(tmp_path / "a", {"model": "x", "seed": 0}, "verdicts", "choose another")  # there was no row yet
    with RowFile(tmp_path / "a" / "0-of-1.jsonl") as file:
        file.append([row(0)])
    claim(tmp_path / "a", {"model": "x", "seed": 0}, "verdicts", "choose another")
    with pytest.raises(BadInput, match=r"other model.*choose another"):
        claim(tmp_path / "a", {"model": "y", "seed": 0}, "verdicts", "choose another")
