"""One's own pictures: what a file of requests may say, and how it is told what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.catalogue import load
from common.errors import BadData, BadInput, ImageEditError, MissingFile
from tests import published


def test_a_csv_with_the_two_columns_that_are_needed(tmp_path: Path, opened: list[str]) -> None:
    published.picture(1).save(tmp_path / "a b.png")
    text = '﻿image,instruction\r\na b.png,"remove the cup,\r\nthen the plate"\r\na b.png,brighten it\r\n'
    (tmp_path / "wishes.csv").write_bytes(text.encode())
    result = load("folder", path=str(tmp_path))
    items = [result.unit(i)[0] for i in range(len(result))]
    assert [i.request for i in items] == ["remove the cup,\r\nthen the plate", "brighten it"]
    assert [i.id for i in items] == ["a b-00002", "a b-00004"]  # two of one picture, by line: the first spans two
    assert opened == [] and items[0].image is not None and published.shown(items[0].image)[0] == 1
    assert result.card.source.endswith("wishes.csv") and result.card.size == "2 requests"


def test_an_item_has_the_name_of_its_picture(tmp_path: Path) -> None:
    """So that results in a folder of pictures are found again; the line is added where two would have one name."""
    for name in ("sunset", "cat", "dog", "x"):
        published.picture(1).save(tmp_path / f"{name}.png")
    rows = [{"image": f"{name}.png", "instruction": "brighten it"} for name in ("sunset", "cat", "dog", "cat", "x")]
    result = load("folder", path=str(published.write_requests(tmp_path, [*rows, rows[0] | {"id": "x"}])))
    ids = [result.unit(i)[0].id for i in range(len(result))]
    assert ids[1].startswith("cat-0") and ids[3].startswith("cat-0") and ids[4].startswith("x-0")
    assert (ids[2], ids[5]) == ("dog", "x") and len(set(ids)) == 6


def test_every_column_is_used(tmp_path: Path) -> None:
    Image.new("L", published.SIZE, 255).save(tmp_path / "m.png")
    rows = [
        {"image": "a.png", "instruction": "one", "id": "x", "kind": "add", "reference": "r.png", "mask": "m.png"},
        {"image": "b.png", "instruction": "two", "session": "s", "turn": 1},
        {"image": "c.png", "instruction": "first", "session": "s", "turn": 0},
        {"instruction": "three", "session": "s", "turn": 2},
    ]
    result = load("folder", path=str(published.write_requests(tmp_path, rows)))
    alone, session = result.unit(0), result.unit(1)
    assert (alone[0].id, alone[0].kind, alone[0].session) == ("x", "add", "")
    assert alone[0].reference is not None and published.shown(alone[0].reference()) == (0, "edited")
    assert alone[0].mask is not None and alone[0].mask().mode == "L"
    assert [i.request for i in session] == ["first", "two", "three"] and [i.turn for i in session] == [0, 1, 2]
    assert [i.id for i in session] == ["s-1", "s-2", "s-3"] and session[2].history == ("first", "two")
    assert [published.shown(i.image)[0] for i in session if i.image] == [2, 1, 2]  # the third goes on from the first
    assert len(result) == 2


def test_turns_without_numbers_come_as_they_stand_and_samples_are_units(tmp_path: Path) -> None:
    rows = [{"image": "a.png", "instruction": f"{s} {k}", "session": s} for k in range(2) for s in "abc"]
    path = str(published.write_requests(tmp_path, rows))
    result = load("folder", path=path)
    assert [[i.request for i in result.unit(u)] for u in range(3)] == [[f"{s} 0", f"{s} 1"] for s in "abc"]
    some = load("folder", path=path, samples=2, seed=0)
    assert len(some) == 2 and "2 of 3 units" in some.card.sampling


@pytest.mark.parametrize(
    ("rows", "kind", "says"),
    [
        ([{"image": "a.png"}], BadData, ":1: instruction is missing"),
        ([{"instruction": "x"}], BadData, ":1: image is missing"),
        ([{"image": "a.png", "instruction": 3.5}], BadData, ":1: instruction should be text but is 3.5"),
        ([{"image": "a.png", "instruction": "x", "prompt": "y"}], BadData, ":1: unknown column 'prompt'"),
        ([{"image": "a.png", "instruction": "x", "turn": 1}], BadData, ":1: turn without a session"),
        ([{"image": "a.png", "instruction": "x", "turn": "b", "session": "s"}], BadData, ":1: turn should be a number"),
        ([{"image": "a.png", "instruction": "x", "id": "i"}] * 2, BadData, ":2: id 'i' is there already, in line 1"),
        (
            [{"image": "a.png", "instruction": "x", "session": "s", "turn": 1}] * 2,
            BadData,
            ":2: turn 1 of session 's' is there twice",
        ),
        (
            [
                {"image": "a.png", "instruction": "x", "session": "s", "turn": 0},
                {"image": "a.png", "instruction": "y", "session": "s"},
            ],
            BadData,
            ":2: session 's' numbers its turns, but not this one",
        ),
    ],
)
def test_mistakes_are_named_by_file_and_line(
    rows: list[dict[str, Any]], kind: type[ImageEditError], says: str, tmp_path: Path
) -> None:
    path = published.write_requests(tmp_path, rows)
    with pytest.raises(kind) as error:
        load("folder", path=str(path))
    assert f"{path}{says}" in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "kind", "says"),
    [
        ("r.csv", b"image,instruction\na.png,x,y\n", BadData, ":2: this row has not 2 cells"),
        ("r.csv", b'image,instruction\na.png,"x\n', BadData, ":2: not CSV"),
        ("r.csv", b"", BadData, "empty; its first line"),
        ("r.csv", b"image,instruction\n", BadData, "nothing is left"),
        ("r.csv", b"image,instruction\na.png,\xff\xfe\n", BadData, "not UTF-8"),
        ("r.jsonl", b'{"image": "a.png", "instr\n', BadData, ":1: not a line of JSON"),
        ("r.jsonl", b'\n["a"]\n', BadData, ":2: expected a JSON object"),
        ("r.csv", b"image,instruction\nb.png,x\n", MissingFile, ":2: image: there is no picture"),
    ],
)
def test_damaged_files_are_named(
    name: str, content: bytes, kind: type[ImageEditError], says: str, tmp_path: Path
) -> None:
    published.picture(0).save(tmp_path / "a.png")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind) as error:
        load("folder", path=str(tmp_path / name))
    assert says in str(error.value)


def test_a_picture_that_is_none_is_said_with_the_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    item = load("folder", path=str(published.write_requests(tmp_path, [{"image": "a.png", "instruction": "x"}]))).unit(
        0
    )[0]
    with pytest.raises(
        BadData,
        match=r"requests\.jsonl:1, column image: .*a\.png: not a readable picture \(it is no picture that can be read",
    ):
        _ = item.image


def test_which_file_is_meant_must_be_clear(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="benchmark.path"):
        load("folder")
    with pytest.raises(MissingFile, match="there is nothing at"):
        load("folder", path=str(tmp_path / "no"))
    with pytest.raises(MissingFile, match="no .csv, .tsv, .jsonl in"):
        load("folder", path=str(tmp_path))
    for name in ("a.csv", "b.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(BadInput, match="2 files of rows"):
        load("folder", path=str(tmp_path))
    (tmp_path / "n.txt").touch()
    with pytest.raises(BadInput, match="ends in .csv"):
        load("folder", path=str(tmp_path / "n.txt"))
