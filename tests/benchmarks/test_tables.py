"""Tables: the same rows from every form of storage, no picture before it is asked for, and errors that help."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Features, Value
from PIL import Image

from benchmarks.item import Card
from benchmarks.options import BenchmarkOptions
from benchmarks.schema import ANY, FLAG, INTEGER, NUMBER, PICTURE, TEXT, called, optional
from benchmarks.tables import Table, TablePicture, open_table
from common.errors import BadData, BadInput, MissingFile
from tests import published
from tests.benchmarks.conftest import COMMIT, Hub

pytestmark = pytest.mark.usefixtures("cache")
CARD = Card("toy", "Toy", "owner/toy", "", "not stated", "test", "7", "all", "ask the owner")
FEATURES = Features({"text": Value("string"), "n": Value("int32"), "x": Value("float64"), "p": datasets.Image()})
COLUMNS = {"text": TEXT, "n": INTEGER, "p": PICTURE}


def rows(count: int = 7) -> list[dict[str, Any]]:
    return [{"text": f"t{i}", "n": i, "x": i / 2, "p": published.png(published.picture(i))} for i in range(count)]


def toy(folder: Path, form: str) -> Path:
    """The same seven rows in every form a user may have."""
    match form:
        case "parquet" | "disk":
            return published.write(folder, rows(), FEATURES, "test", form)
        case "shards":
            return published.write(folder, rows(), FEATURES, "test", "parquet", shards=3)
        case "arrow":
            published.write(folder / "saved", rows(), FEATURES, "test", "disk")
            (folder / "arrow").mkdir()
            for file in (folder / "saved").glob("*.arrow"):
                file.rename(folder / "arrow" / "test-00000-of-00001.arrow")
            return folder / "arrow"
        case "dict":
            whole = datasets.Dataset.from_list(rows(), features=FEATURES)
            datasets.DatasetDict({"test": whole, "dev": whole.select([0])}).save_to_disk(str(folder))
            return folder
        case "csv" | "jsonl":
            (folder / "images").mkdir(parents=True)
            for i in range(7):
                published.picture(i).save(folder / "images" / f"{i}.png")
            table = datasets.Dataset.from_list([{**r, "p": f"{i}.png"} for i, r in enumerate(rows())])
            table.to_csv(folder / "test.csv") if form == "csv" else table.to_json(folder / "test.jsonl")
            return folder
    raise ValueError(form)


FORMS = ("parquet", "shards", "disk", "arrow", "dict", "csv", "jsonl")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_storage_gives_the_same_rows_and_pictures(form: str, tmp_path: Path) -> None:
    table = open_table(CARD, BenchmarkOptions(path=str(toy(tmp_path / form, form))), COLUMNS)
    assert len(table) == 7
    assert table.column("text") == [f"t{i}" for i in range(7)]
    assert [table.row(i) for i in range(7)] == [{"text": f"t{i}", "n": i} for i in range(7)]
    assert [published.shown(table.needed(i, "p")()) for i in range(7)] == [(i, "source") for i in range(7)]


@pytest.mark.parametrize("form", ["parquet", "disk", "csv"])
def test_a_part_keeps_the_order_asked_for_and_the_numbers_of_the_whole(form: str, tmp_path: Path) -> None:
    part = open_table(CARD, BenchmarkOptions(path=str(toy(tmp_path, form))), COLUMNS).only([5, 0, 3])
    assert part.column("n") == [5, 0, 3] and [part.number(i) for i in range(3)] == [5, 0, 3]
    assert [published.shown(part.needed(i, "p")())[0] for i in range(3)] == [5, 0, 3]
    again = part.only([2, 0])
    assert again.column("n") == [3, 5] and published.shown(again.needed(0, "p")())[0] == 3


@pytest.mark.parametrize("form", ["parquet", "disk", "csv"])
def test_a_picture_can_be_sent_to_another_process(form: str, tmp_path: Path) -> None:
    picture = open_table(CARD, BenchmarkOptions(path=str(toy(tmp_path, form))), COLUMNS).needed(4, "p")
    sent = pickle.loads(pickle.dumps(picture))
    assert isinstance(sent, TablePicture) and published.shown(sent())[0] == 4


def test_no_picture_is_opened_by_reading_rows(tmp_path: Path, opened: list[str]) -> None:
    table = open_table(CARD, BenchmarkOptions(path=str(toy(tmp_path, "parquet"))), COLUMNS)
    table.column("text")
    pictures = [table.needed(i, "p") for i in range(7) if table.row(i)]
    assert opened == []
    pictures[2]()
    assert opened == ["open"]


def test_a_picture_is_upright_and_rgb_whatever_the_file(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    lying = Image.new("L", (30, 10), 7)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to stand upright
    lying.save(tmp_path / "a.jpg", exif=exif)
    Image.new("P", (5, 4)).save(tmp_path / "b.gif")
    (tmp_path / "test.jsonl").write_text('{"text": "a", "p": "a.jpg"}\n{"text": "b", "p": "b.gif"}\n')
    table = open_table(CARD, BenchmarkOptions(path=str(tmp_path)), {"text": TEXT, "p": PICTURE})
    results = [table.needed(i, "p")() for i in range(2)]
    assert [(f.mode, f.size) for f in results] == [("RGB", (10, 30)), ("RGB", (5, 4))]


def test_from_the_hub_text_is_read_first_and_only_the_pictures_of_the_rows_used(hub: Hub, tmp_path: Path) -> None:
    hub.sets["owner/toy"] = toy(tmp_path / "data", "shards")
    table = open_table(CARD, BenchmarkOptions(), COLUMNS)
    asked = [c.get("columns") for c in hub.calls]
    assert asked == [None, ["text", "n"]]  # the schema, which reads no row; then the text
    used = table.only([6, 1])
    assert published.shown(used.needed(0, "p")())[0] == 6 and published.shown(used.needed(1, "p")())[0] == 1
    assert [c.get("columns") for c in hub.calls][2:] == [["p"]]
    with pytest.raises(KeyError):
        used.needed(0, "p").of.cell(3, "p")  # of another row nothing was kept
    assert hub.asked == [("owner/toy", None)]
    assert {c["split"] for c in hub.calls} == {"test"} and all(c["streaming"] for c in hub.calls)


def test_what_was_streamed_is_not_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    hub.sets["owner/toy"] = toy(tmp_path / "data", "parquet")

    def use(revision: str | None) -> tuple[Any, ...]:
        part = open_table(CARD, BenchmarkOptions(revision=revision), COLUMNS).only([2, 4])
        return part.column("text"), published.shown(part.needed(1, "p")())

    first = use(None)
    calls, asked = len(hub.calls), len(hub.asked)
    assert use(COMMIT) == first  # a commit needs not even the question what the newest one is
    assert (len(hub.calls), len(hub.asked)) == (calls, asked)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    published.write(tmp_path, rows(), FEATURES, "test")
    assert len(open_table(CARD, BenchmarkOptions(path=str(tmp_path)), COLUMNS)) == 7
    published.write(tmp_path, rows(3), FEATURES, "test")
    assert len(open_table(CARD, BenchmarkOptions(path=str(tmp_path)), COLUMNS)) == 3


def test_a_hub_set_that_is_no_parquet_is_read_too(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its builder does not know `columns`; the error it raises is the library's own."""
    hub.sets["owner/toy"] = toy(tmp_path / "data", "parquet")
    parquet = datasets.load_dataset

    def no_columns(path: str, **kwargs: Any) -> Any:
        if "columns" in kwargs:
            raise ValueError("BuilderConfig ArrowConfig(name='default') doesn't have a 'columns' key.")
        return parquet(path, **kwargs)

    monkeypatch.setattr(datasets, "load_dataset", no_columns)
    table = open_table(CARD, BenchmarkOptions(), COLUMNS)
    assert table.column("n") == list(range(7)) and published.shown(table.needed(3, "p")())[0] == 3


@pytest.mark.parametrize("form", ["parquet", "disk"])
@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"text": TEXT, "nothing": TEXT}, "no column 'nothing'"),
        ({"text": TEXT, "a": called(PICTURE, "b", "c")}, "no column 'a' or 'b' or 'c'"),
        ({"text": INTEGER}, "'text' should hold integer but holds text"),
        ({"p": TEXT}, "'p' should hold text but holds picture"),
        ({"n": PICTURE, "text": TEXT}, "'n' should hold picture but holds integer"),
        ({"x": FLAG}, "'x' should hold true or false but holds number"),
    ],
)
def test_a_wrong_schema_is_said_by_column(form: str, columns: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=says) as error:
        open_table(CARD, BenchmarkOptions(path=str(toy(tmp_path, form))), columns)
    assert "ask the owner" in str(error.value) and str(tmp_path) in str(error.value)


def test_columns_may_be_called_otherwise_or_be_absent(tmp_path: Path) -> None:
    path = str(toy(tmp_path, "parquet"))
    columns = {
        "said": called(TEXT, "words", "text"),
        "x": NUMBER,
        "n": ANY,
        "mask": optional(PICTURE),
        "kind": optional(TEXT),
    }
    table = open_table(CARD, BenchmarkOptions(path=path), columns)
    assert table.row(1) == {"said": "t1", "x": 0.5, "n": 1, "kind": None}
    assert table.column("kind") == [None] * 7 and table.picture(0, "mask") is None
    assert table.names == {"said": "text", "x": "x", "n": "n"}
    with pytest.raises(BadInput, match="'mask' is no picture column"):
        table.needed(0, "mask")


def test_an_empty_cell_is_said_by_row_and_column(tmp_path: Path) -> None:
    holed = rows()
    holed[4]["text"] = None
    table = open_table(CARD, BenchmarkOptions(path=str(published.write(tmp_path, holed, FEATURES, "test"))), COLUMNS)
    assert table.row(3)["text"] == "t3"
    with pytest.raises(BadData, match="row 4, column 'text' is empty"):
        table.row(4)
    with pytest.raises(BadData, match="row 4, column 'text' is empty"):
        table.column("text")


def test_in_a_csv_only_an_empty_cell_is_empty(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,n\nNone,1\nNA,2\n,3\n")
    table = open_table(CARD, BenchmarkOptions(path=str(tmp_path)), {"text": TEXT, "n": INTEGER})
    assert [table.row(i)["text"] for i in range(2)] == ["None", "NA"]
    with pytest.raises(BadData, match="row 2, column 'text' is empty"):
        table.row(2)


def test_a_null_picture_is_found_before_it_is_opened_where_that_costs_nothing(tmp_path: Path) -> None:
    holed = rows()
    holed[4]["p"] = None
    mapped = open_table(
        CARD, BenchmarkOptions(path=str(published.write(tmp_path / "a", holed, FEATURES, "test", "disk"))), COLUMNS
    )
    with pytest.raises(BadData, match="row 4, column 'p': there is no picture"):
        mapped.check()
    assert mapped.only([1, 2]).check().column("n") == [1, 2]
    streamed = open_table(
        CARD, BenchmarkOptions(path=str(published.write(tmp_path / "b", holed, FEATURES, "test"))), COLUMNS
    )
    picture = streamed.check().needed(4, "p")
    with pytest.raises(BadData, match="row 4, column 'p': there is no picture"):
        picture()


def test_a_missing_picture_file_is_named_before_anything_starts(tmp_path: Path) -> None:
    path = toy(tmp_path, "csv")
    (path / "images" / "3.png").unlink()
    table = open_table(CARD, BenchmarkOptions(path=str(path)), COLUMNS)
    with pytest.raises(MissingFile, match=r"row 3, column 'p': there is no picture 3\.png"):
        table.check()
    with pytest.raises(MissingFile, match=r"3\.png cannot be read"):
        table.needed(3, "p")()


def test_a_damaged_picture_is_said_by_row(tmp_path: Path) -> None:
    torn = rows()
    torn[2]["p"] = {"bytes": published.png(published.picture(2, size=(200, 200)))["bytes"][:80], "path": None}
    table = open_table(
        CARD, BenchmarkOptions(path=str(published.write(tmp_path, torn, FEATURES, "test", "disk"))), COLUMNS
    ).check()
    with pytest.raises(BadData, match="row 2, column 'p': not a readable picture"):
        table.needed(2, "p")()


@pytest.mark.parametrize("name", ["test-00000-of-00001.parquet", "test.arrow"])
def test_a_damaged_file_is_said(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"<html>404 Not Found</html>" * 20)
    with pytest.raises(BadData, match="damaged or not what its name says"):
        open_table(CARD, BenchmarkOptions(path=str(tmp_path)), COLUMNS)


def test_what_is_not_there_is_said_with_what_is(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="there is nothing at .*ask the owner"):
        open_table(CARD, BenchmarkOptions(path=str(tmp_path / "no")), COLUMNS)
    with pytest.raises(MissingFile, match="no data in"):
        open_table(CARD, BenchmarkOptions(path=str(tmp_path)), COLUMNS)
    path = str(toy(tmp_path / "dict", "dict"))
    with pytest.raises(MissingFile, match="no split 'validation', but dev, test"):
        open_table(CARD, BenchmarkOptions(path=path, split="validation"), COLUMNS)
    (tmp_path / "note.txt").touch()
    with pytest.raises(BadInput, match="is none of"):
        open_table(CARD, BenchmarkOptions(path=str(tmp_path / "note.txt")), COLUMNS)


def test_the_split_may_be_overridden_and_must_be_chosen_where_there_are_several(tmp_path: Path) -> None:
    path = str(toy(tmp_path, "dict"))
    assert len(open_table(CARD, BenchmarkOptions(path=path), COLUMNS, "dev")) == 1
    undecided = Card("toy", "", "", "", "", "", "", "", "ask")
    with pytest.raises(BadInput, match=r"several splits \(dev, test\)"):
        open_table(undecided, BenchmarkOptions(path=path), COLUMNS)
    with pytest.raises(BadInput, match="has no Hub id"):
        open_table(undecided, BenchmarkOptions(), COLUMNS)


def test_a_table_is_safe_for_many_threads(tmp_path: Path, hub: Hub) -> None:
    from concurrent.futures import ThreadPoolExecutor

    hub.sets["owner/toy"] = toy(tmp_path / "data", "parquet")
    table: Table = open_table(CARD, BenchmarkOptions(), COLUMNS)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda i: published.shown(table.needed(i % 7, "p")())[0], range(28)))
    assert seen == [i % 7 for i in range(28)]
    assert [c.get("columns") for c in hub.calls].count(["p"]) == 1
