"""Complex-Edit from files in its published schema: one unit per picture and complexity."""

from __future__ import annotations

import json

import datasets
import pytest
from PIL import Image

from benchmarks import catalogue
from benchmarks.complex_edit import texts
from common.errors import BadData, BadInput, MissingFile


def edit(k: int, sequence: bool = True) -> dict:
    atoms = [f"atom {c} of {k}" for c in range(1, 9)]
    result = {"compound": [{"compound_instruction": f"picture {k}: {'; '.join(atoms[:c])}"} for c in range(1, 9)]}
    return result | ({"sequence": [{"instruction": a} for a in atoms]} if sequence else {})


def save(tmp_path, rows: list[dict], split: str = "test_real") -> str:
    tmp_path.mkdir(exist_ok=True)
    data = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    data.to_parquet(str(tmp_path / f"{split}-00000-of-00001.parquet"))
    return str(tmp_path)


def picture(k: int) -> dict:
    return {"image": Image.new("RGB", (10, 10 + k))}


ROWS = [picture(k) | {"edit": edit(k)} for k in range(5)]


def test_eight_requests_per_picture(tmp_path):
    bench = catalogue.load("complex_edit", path=save(tmp_path, ROWS))
    assert len(bench) == 40 and bench.card.split == "test_real"
    (item,) = bench.unit(8 * 3 + 1)
    assert item.id == "real/0003/c2" and item.request == "picture 3: atom 1 of 3; atom 2 of 3"
    assert item.facts == {"complexity": 2, "sequence": ("atom 1 of 3", "atom 2 of 3")}
    assert (item.kind, item.subsets, item.image.size) == ("real", ("all", "c2"), (10, 13))
    assert [bench.unit(i)[0].facts["complexity"] for i in range(16)] == [*range(1, 9)] * 2


def test_chosen_complexities_are_seen_on_the_same_pictures(tmp_path):
    path = save(tmp_path, ROWS)
    bench = catalogue.load("complex_edit", path=path, complexity=[8, 1], samples=6, seed=2)
    ids = [bench.unit(i)[0].id for i in range(len(bench))]
    rows = [name.split("/")[1] for name in ids]
    assert len(ids) == 6 and [name.split("/")[2] for name in ids] == ["c1", "c8"] * 3
    assert rows[0::2] == rows[1::2] and len(set(rows)) == 3
    assert "3 of 5 pictures" in bench.card.sampling and "C = 1, 8" in bench.card.sampling
    odd = catalogue.load("complex_edit", path=path, complexity=[8, 1], samples=5, seed=2)
    assert [odd.unit(i)[0].id for i in range(len(odd))] == ids[:5]


def test_splits_are_apart(tmp_path):
    save(tmp_path, ROWS[:2])
    save(tmp_path, [picture(7) | {"edit": edit(7, sequence=False)}], "test_syn")
    syn = catalogue.load("complex_edit", path=str(tmp_path), split="test_syn")
    assert len(syn) == 8 and syn.unit(7)[0].id == "syn/0000/c8" and syn.unit(7)[0].kind == "syn"
    assert syn.unit(7)[0].facts["sequence"] == ()  # the record has none, which is allowed
    assert len(catalogue.load("complex_edit", path=str(tmp_path))) == 16


@pytest.mark.parametrize(
    "compound",
    [
        [{"compound_instruction": "a"}, {"compound_instruction": "b"}],
        {"compound_instruction": ["a", "b"]},  # how older versions of datasets hand out lists of objects
        ["a", "b"],
    ],
)
def test_every_way_of_storing_a_list_of_objects(compound):
    assert texts({"compound": compound}, "compound", ("compound_instruction",), "here") == ("a", "b")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "no 'compound'"),
        ("text", "no 'compound' but str"),
        ({"compound": [{"other": "a"}]}, r"edit\['compound'\] should hold texts under 'compound_instruction'"),
        ({"compound": [{"compound_instruction": ""}]}, "should hold texts"),
        ({"compound": {"other": ["a"]}}, "should hold texts"),
        ({"compound": 3}, "should hold texts"),
    ],
)
def test_a_wrong_edit_is_named(wrong, says):
    with pytest.raises(BadData, match=says):
        texts(wrong, "compound", ("compound_instruction",), "file, row 4")


def test_wrong_choices_and_data_are_named(tmp_path):
    path = save(tmp_path / "a", ROWS[:1])
    with pytest.raises(BadInput, match="benchmark.complexity has 9"):
        catalogue.load("complex_edit", path=path, complexity=[1, 9])
    with pytest.raises(BadInput, match="benchmark.split=test is unknown; choose one of test_real, test_syn"):
        catalogue.load("complex_edit", path=path, split="test")
    with pytest.raises(MissingFile, match="no split 'test_syn'"):
        catalogue.load("complex_edit", path=path, split="test_syn")
    short = {"compound": edit(0)["compound"][:3]}
    bench = catalogue.load("complex_edit", path=save(tmp_path / "b", [picture(0) | {"edit": short}]))
    assert bench.unit(2)[0].facts["complexity"] == 3
    with pytest.raises(BadData, match="row 0: no instruction of complexity 4; .* holds 3"):
        bench.unit(3)
    with pytest.raises(BadData, match="no column 'edit'; it has image"):
        catalogue.load("complex_edit", path=save(tmp_path / "c", [picture(0)]))


def test_a_jsonl_beside_its_pictures(tmp_path):
    Image.new("RGB", (9, 4)).save(tmp_path / "0000.png")
    line = json.dumps({"image": "0000.png", "edit": edit(0)})
    (tmp_path / "test_real.jsonl").write_text(line + "\n", encoding="utf-8")
    bench = catalogue.load("complex_edit", path=str(tmp_path / "test_real.jsonl"), complexity=[8])
    assert len(bench) == 1 and bench.unit(0)[0].image.size == (9, 4)
