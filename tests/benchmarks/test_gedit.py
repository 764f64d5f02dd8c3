"""GEdit-Bench from files in its published schema: languages, subsets, task types, and what is said about wrong data."""

from __future__ import annotations

import datasets
import pytest
from PIL import Image

from benchmarks import catalogue
from benchmarks.gedit import TASKS
from common.errors import BadData, BadInput, MissingFile

FEATURES = datasets.Features(
    {
        "task_type": datasets.Value("string"),
        "key": datasets.Value("string"),
        "instruction": datasets.Value("string"),
        "instruction_language": datasets.Value("string"),
        "input_image": datasets.Image(),
        "input_image_raw": datasets.Image(),
        "Intersection_exist": datasets.Value("bool"),
    }
)


def row(k: int, language: str, task: str = "text_change", intersection: bool = True) -> dict:
    said = f"Change it {k}" if language == "en" else f"改变它 {k}"
    return {
        "task_type": task,
        "key": f"key{k}",
        "instruction": said,
        "instruction_language": language,
        "input_image": Image.new("RGB", (8 + k, 6), (k, 0, 0)),
        "input_image_raw": Image.new("RGB", (20, 20)),
        "Intersection_exist": intersection,
    }


ROWS = [row(k, lang, TASKS[k], k % 2 == 0) for k in range(4) for lang in ("en", "cn")]


def save(tmp_path, rows=ROWS, features=FEATURES) -> str:
    """As the published data set is stored: Arrow files of a DatasetDict with the split train."""
    kept = {name: features[name] for name in features if name in rows[0]}
    data = datasets.Dataset.from_list([{k: r[k] for k in kept} for r in rows], features=datasets.Features(kept))
    datasets.DatasetDict({"train": data}).save_to_disk(str(tmp_path / "gedit"))
    return str(tmp_path / "gedit")


def test_every_row_with_its_language_subsets_and_picture(tmp_path):
    bench = catalogue.load("gedit", path=save(tmp_path))
    items = [item for i in range(len(bench)) for item in bench.unit(i)]
    assert len(items) == 8 and bench.card.mean == "macro" and bench.card.rubric == "gedit"
    assert items[1].id == f"cn/{TASKS[0]}/key0" and items[1].request == "改变它 0"
    assert items[0].subsets == ("all", "en/full", "en/intersection") and items[3].subsets == ("all", "cn/full")
    assert [i.kind for i in items] == [t for t in TASKS[:4] for _ in range(2)]
    assert items[6].facts == {"language": "en", "intersection": False}
    assert items[6].picture is None and items[6].image.size == (11, 6)  # input_image, not input_image_raw
    assert "all 8 requests" in bench.card.sampling


@pytest.mark.parametrize("language", ["en", "cn"])
def test_one_language_alone_and_a_sample_of_it(tmp_path, language):
    path = save(tmp_path)
    bench = catalogue.load("gedit", path=path, language=language)
    assert len(bench) == 4 and {bench.unit(i)[0].facts["language"] for i in range(4)} == {language}
    two = catalogue.load("gedit", path=path, language=language, samples=2, seed=1)
    ids = [two.unit(i)[0].id for i in range(2)]
    assert set(ids) < {bench.unit(i)[0].id for i in range(4)}
    assert ids == [
        catalogue.load("gedit", path=path, language=language, samples=2, seed=1).unit(i)[0].id for i in (0, 1)
    ]
    assert f"2 of 4 {language} requests" in two.card.sampling


def test_parquet_from_the_hub_folder_is_the_same(tmp_path):
    data = datasets.Dataset.from_list(ROWS, features=FEATURES)
    (tmp_path / "data").mkdir()
    data.to_parquet(str(tmp_path / "data" / "train-00000-of-00001.parquet"))
    bench = catalogue.load("gedit", path=str(tmp_path), language="cn")
    assert [bench.unit(i)[0].request for i in range(4)] == [f"改变它 {k}" for k in range(4)]
    assert bench.unit(3)[0].image.getpixel((0, 0)) == (3, 0, 0)


@pytest.mark.parametrize("language", ["zh", "de"])
def test_a_language_that_the_data_does_not_have(tmp_path, language):
    with pytest.raises(BadInput, match="cn"):
        catalogue.load("gedit", path=save(tmp_path), language=language)


def test_wrong_data_is_named(tmp_path):
    without = [{k: v for k, v in r.items() if k != "Intersection_exist"} for r in ROWS]
    with pytest.raises(BadData, match="no column 'Intersection_exist'.*stepfun-ai/GEdit-Bench"):
        catalogue.load("gedit", path=save(tmp_path / "a", without))
    typed = datasets.Features({**FEATURES, "Intersection_exist": datasets.Value("string")})
    with pytest.raises(BadData, match="'Intersection_exist' should hold true or false"):
        catalogue.load("gedit", path=save(tmp_path / "b", [r | {"Intersection_exist": "yes"} for r in ROWS], typed))
    with pytest.raises(BadData, match="row 2: language 'zh'"):
        catalogue.load("gedit", path=save(tmp_path / "c", [*ROWS[:2], row(2, "zh")]))
    bench = catalogue.load("gedit", path=save(tmp_path / "d", [row(0, "en", "teleport")]))
    with pytest.raises(BadData, match="row 0: task_type 'teleport' is none of background_change"):
        bench.unit(0)
    with pytest.raises(BadData, match="row 0, column 'input_image': there is no picture"):
        catalogue.load("gedit", path=save(tmp_path / "e", [row(0, "en") | {"input_image": None}]))
    with pytest.raises(MissingFile, match="stepfun-ai/GEdit-Bench"):
        catalogue.load("gedit", path=str(tmp_path / "nowhere"))
