"""Requests read from CSV, JSONL and parquet in PSR's schema: grouped by id, in one order, errors that name the row."""

from __future__ import annotations

import json
import random
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.options import BenchmarkOptions
from benchmarks.requests import EMPTY, OTHER_TEXT, PSR, REQUESTS, read_requests
from common.errors import BadData, BadInput, ImageEditError, MissingFile

pytestmark = pytest.mark.usefixtures("cache")
ROWS = [("b", "add a hat"), ("a", "remove the dog"), ("c", ""), ("a", "remove the dog"), ("b", "add hats")]


def csv(file: Path, rows: list[tuple[str, str]]) -> str:
    file.write_text("id,instruction\n" + "".join(f"{i},{t}\n" for i, t in rows))
    return str(file)


def test_rows_of_one_id_are_one_request(tmp_path: Path) -> None:
    read = read_requests(REQUESTS, BenchmarkOptions(path=csv(tmp_path / "r.csv", ROWS)), "CC0")
    assert [(c.id, c.own_id, c.request, c.licence) for c in read.candidates] == [
        ("requests-a", "a", "remove the dog", "CC0"),
        ("requests-b", "b", "add a hat", "CC0"),
    ]
    assert read.left_out == {EMPTY: 1, OTHER_TEXT: 1}
    assert (read.facts["rows"], read.facts["taken"]) == (5, 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.randoms(), st.sampled_from([None, 1, 2, 5]))
def test_the_order_of_rows_says_nothing(tmp_path: Path, rng: random.Random, samples: int | None) -> None:
    rows = [*ROWS, *((f"x{i}", f"request {i}") for i in range(9))]
    one = read_requests(REQUESTS, BenchmarkOptions(path=csv(tmp_path / "one.csv", rows), samples=samples))
    rng.shuffle(rows)
    other = read_requests(REQUESTS, BenchmarkOptions(path=csv(tmp_path / "other.csv", rows), samples=samples))
    assert one.candidates == other.candidates and one.left_out == other.left_out
    assert samples is None or len(one.candidates) == samples


def test_jsonl_with_pictures_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"id": 7, "request": "x", "image": "pictures/a.png", "simplified_instruction": "y"}))
    (one,) = read_requests(REQUESTS, BenchmarkOptions(path=str(tmp_path), text="simplified")).candidates
    assert (one.own_id, one.request, one.picture) == ("7", "y", str((tmp_path / "pictures" / "a.png").resolve()))


def png(color: str) -> bytes:
    out = BytesIO()
    Image.new("RGB", (4, 4), color).save(out, "PNG")
    return out.getvalue()


def psr(folder: Path, rows: list[tuple[str, str, str]], image: str = "source_image") -> str:
    """Parquet as PSR is published."""
    import datasets

    made = [
        {"post_id": i, "instruction": t, "simplified_instruction": t[:9], image: {"bytes": png(c), "path": None}}
        for i, t, c in rows
    ]
    features = datasets.Features(
        {k: datasets.Value("string") for k in ("post_id", "instruction", "simplified_instruction")}
        | {image: datasets.Image()}
    )
    folder.mkdir()
    datasets.Dataset.from_list(made, features=features).to_parquet(folder / "train-00000-of-00001.parquet")
    return str(folder)


def test_psr_from_parquet_reads_text_first_and_pictures_of_chosen_rows_alone(tmp_path: Path, opened: list[str]) -> None:
    rows = [("p2", "add a hat", "red"), ("p1", "remove the dog", "blue"), ("p2", "add a hat", "green")]
    read = read_requests(PSR, BenchmarkOptions(path=psr(tmp_path / "data", rows)))
    assert [(c.id, c.request, c.row) for c in read.candidates] == [
        ("psr-p1", "remove the dog", 1),
        ("psr-p2", "add a hat", 0),
    ]
    assert read.pictures is not None and list(read.pictures([1, 0])) == [png("blue"), png("red")]
    assert opened == []


@pytest.mark.parametrize(
    ("text", "says", "kind"),
    [
        ("instruction\nx\n", "no column 'id'", BadData),
        ("id,words\n1,x\n", "no column 'instruction'", BadData),
        ("id,instruction\n,x\n", "r.csv:2.*an id of its own", BadData),
        ("id,instruction\n1,x,y\n", "r.csv:2", BadData),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str, kind: type[ImageEditError], tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(kind, match=says):
        read_requests(REQUESTS, BenchmarkOptions(path=str(tmp_path / "r.csv")))


def test_places_and_choices_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="nowhere"):
        read_requests(REQUESTS, BenchmarkOptions(path=str(tmp_path / "nowhere")))
    with pytest.raises(BadInput, match="original or simplified"):
        read_requests(PSR, BenchmarkOptions(path=str(tmp_path), text="long"))
    csv(tmp_path / "a.csv", ROWS), csv(tmp_path / "b.csv", ROWS)
    with pytest.raises(BadInput, match="a.csv, b.csv"):
        read_requests(REQUESTS, BenchmarkOptions(path=str(tmp_path)))
