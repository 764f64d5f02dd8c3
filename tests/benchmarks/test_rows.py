"""What is wrong with a table is one short line that names file, line and column, through whichever door it comes."""

from __future__ import annotations

import base64
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from benchmarks import catalogue
from benchmarks.rows import check_table, read_rows
from benchmarks.values import not_a_path, shown
from common.errors import BadData

PICTURE = "a.png"
ODD = "x\u2028y\u0085z\x0cq"  # line ends to str.splitlines, text to CSV and JSON


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    Image.new("RGB", (8, 8)).save(tmp_path / PICTURE)
    return tmp_path


def put(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8", newline="")
    return folder / name


WRONG = [
    ("empty.csv", "", "it is empty; its first line"),
    ("empty.jsonl", " \n\n", "it is empty; every line"),
    ("head.csv", "{image},instruction\n", "no rows below the first line"),
    ("two.csv", "{image},instruction,instruction\na.png,x,y\n", ":1: 2 columns are called 'instruction'"),
    ("space.csv", "{image},instruction, instruction\na.png,x,y\n", ":1: 2 columns are called 'instruction'"),
    ("comma.csv", "{image},instruction\na.png,x\na.png,y,\n", ":3: this row has not 2 cells"),
    ("shift.csv", "{image},instruction\na.png,x,\n", ":2: this row has not 2 cells"),  # pandas would take an index
    ("two.jsonl", '{{"{image}": "a.png", "instruction": "x", "instruction": "y"}}\n', ":1: 2 values are called 'instruction'"),
    ("comma.jsonl", '{{"{image}": "a.png", "instruction": "x"}},\n', ":1: a comma follows the object"),
    ("inside.jsonl", '{{"{image}": "a.png", "instruction": "x"}}\n{{"a": 1,}}\n', ":2: not a line of JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "says"), WRONG)
@pytest.mark.parametrize(("benchmark", "image"), [("realedit", "input_image"), ("folder", "image")])
def test_a_broken_table_is_one_line_that_names_the_place(
    folder: Path, benchmark: str, image: str, name: str, content: str, says: str
) -> None:
    file = put(folder, name, content.format(image=image))
    with pytest.raises(BadData) as caught:
        catalogue.load(benchmark, path=str(file))
    message = str(caught.value)
    assert str(file) in message and says in message and "\n" not in message and len(message) < 300 + len(str(file))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "it is empty"),
        ("[]", "it holds no rows"),
        ('[{"input_image": "a.png", "instruction": "x"},]', ":1: not JSON (Expecting value"),
        ('[{"input_image": "a.png",\n"instruction": "x",}]', "is there a comma too many before it?"),
        ('{"input_image": "a.png", "instruction": "x"},\n{"input_image": "a.png"}\n', ":1: a comma follows the object"),
        ('[{"input_image": "a.png", "input_image": "b.png"}]', "2 values are called 'input_image'"),
    ],
)
def test_broken_json_is_named_with_its_line(folder: Path, content: str, says: str) -> None:
    with pytest.raises(BadData) as caught:
        catalogue.load("realedit", path=str(put(folder, "r.json", content)))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_good_json_in_either_form_passes(folder: Path) -> None:
    check_table(put(folder, "list.json", '[{"a": 1},\n {"a": 2}]'))
    check_table(put(folder, "lines.json", '{"a": 1}\n\n{"a": 2}\n'))
    check_table(put(folder, "other.txt", ""))


@pytest.mark.parametrize(("benchmark", "image"), [("realedit", "input_image"), ("folder", "image")])
@pytest.mark.parametrize("form", ["csv", "quoted", "jsonl"])
def test_what_only_python_takes_for_a_line_end_stays_in_its_cell(
    folder: Path, benchmark: str, image: str, form: str
) -> None:
    rows = {
        "csv": f"{image},instruction\na.png,{ODD}\na.png,two\n",
        "quoted": f'{image},instruction\r\na.png,"{ODD}"\r\na.png,two\r\n',
        "jsonl": f'{{"{image}": "a.png", "instruction": "{ODD}"}}\n{{"{image}": "a.png", "instruction": "two"}}\n'.replace(
            "\x0c", "\\f"
        ),
    }
    file = put(folder, "r.jsonl" if form == "jsonl" else "r.csv", rows[form])
    bench = catalogue.load(benchmark, path=str(file))
    assert [bench.unit(i)[0].request for i in range(len(bench))] == [ODD, "two"]


def test_lines_are_counted_as_an_editor_counts_them(folder: Path) -> None:
    file = put(folder, "r.csv", f'a,b\n1,"{ODD}\n2"\n3,4\n')
    assert read_rows(file) == [(2, {"a": "1", "b": f"{ODD}\n2"}), (4, {"a": "3", "b": "4"})]


def base64_picture(folder: Path) -> str:
    return base64.b64encode((folder / PICTURE).read_bytes() * 200).decode()


def test_a_picture_as_text_is_said_in_a_short_message(folder: Path) -> None:
    text = base64_picture(folder)
    parquet.write_table(pa.table({"instruction": ["x"], "input_image": [text]}), folder / "r.parquet")
    doors = [
        ("realedit", folder / "r.parquet", "row 0, column 'input_image'"),
        ("realedit", put(folder, "p.csv", f"input_image,instruction\n{text},x\n"), "row 0, column 'input_image'"),
        ("folder", put(folder, "f.csv", f"image,instruction\ndata:image/png;base64,{text},x\n".replace(
            ";base64,", ";base64")), ":2, column 'image'"),
        ("folder", put(folder, "f.jsonl", f'{{"image": "{text}", "instruction": "x"}}\n'), ":1, column 'image'"),
    ]  # fmt: skip
    for benchmark, file, where in doors:
        with pytest.raises(BadData) as caught:
            catalogue.load(benchmark, path=str(file))
        message = str(caught.value)
        assert str(file) in message and where in message and "a picture as text" in message and len(message) < 300


def test_parquet_with_two_columns_of_one_name_without_rows_or_without_content(folder: Path) -> None:
    arrays = [pa.array(["x"]), pa.array(["y"]), pa.array([PICTURE])]
    names = ["instruction", "instruction", "input_image"]
    parquet.write_table(pa.Table.from_arrays(arrays, names=names), folder / "two.parquet")
    parquet.write_table(pa.table({"instruction": pa.array([], pa.string())}), folder / "none.parquet")
    (folder / "empty.parquet").write_bytes(b"")
    for name, says in (
        ("two", "2 columns are called 'instruction'"),
        ("none", "no rows"),
        ("empty", "damaged or not what its name says"),
    ):
        with pytest.raises(BadData, match=says) as caught:
            catalogue.load("realedit", path=str(folder / f"{name}.parquet"))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["a.png", "b/ä ö.jpg", "x" * 200 + ".png", "d/" * 300 + "a.png", "/home/x/y.webp"])
def test_paths_are_paths(path: str) -> None:
    assert not_a_path(path) == ""


@pytest.mark.parametrize(
    "text", ["x y" * 100, "d/" * 3000 + "a.png", "a\0.png", "iVBORw0KGgo" * 30, "data:image/png;base64,iV"]
)
def test_what_no_file_system_takes_is_no_path(text: str) -> None:
    assert len(not_a_path(text)) in range(10, 200)


def test_long_values_are_cut_in_messages() -> None:
    assert shown("abc") == "'abc'" and shown(3) == "3"
    assert len(shown("x" * 10_000)) < 100 and "10,000 characters" in shown("x" * 10_000)
