"""RISEBench from its JSON and picture folders: what each category's judging needs is in the facts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import catalogue
from common.errors import BadData, MissingFile

ROWS = [
    {
        "index": "temporal_reasoning_1",
        "category": "temporal_reasoning",
        "subtask": "Life Progression",
        "instruction": "Draw it a year later.",
        "image": "temporal_reasoning_images/1.png",
        "reference": "A rotten banana.",
        "consistency_free": None,
    },
    {
        "index": "causal_reasoning_2",
        "category": "causal_reasoning",
        "subtask": "State Transition",
        "instruction": "Draw it melted.",
        "image": "causal_reasoning_images/2.png",
        "reference": "A puddle.",
        "reasoning_img": "True",
        "consistency_free": True,
    },
    {
        "index": "spatial_reasoning_3",
        "category": "spatial_reasoning",
        "subtask": "Object Arrangement",
        "instruction": "Sort by size.",
        "image": ["spatial_reasoning_images/3.png"],
        "reference_img": "spatial_reasoning_images/3_ref.png",
    },
    {
        "index": "logical_reasoning_4",
        "category": "logical_reasoning",
        "subtask": "Puzzle Solving",
        "instruction": "Complete the puzzle.",
        "image": "logical_reasoning_images/4.png",
        "reference_txt": "7",
        "reasoning_wo_ins": 1,
    },
]
PICTURES = [name for row in ROWS for name in (row["image"], row.get("reference_img")) if name]


def save(root: Path, rows: object = ROWS, name: str = "datav2_total_w_subtask.json") -> str:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(rows), encoding="utf-8")
    for k, picture in enumerate(PICTURES):
        file = root / (picture[0] if isinstance(picture, list) else picture)
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (6 + k, 6)).save(file)
    return str(root)


def test_what_judging_needs_is_in_the_facts(tmp_path):
    bench = catalogue.load("risebench", path=save(tmp_path))
    temporal, causal, spatial, logical = (bench.unit(i)[0] for i in range(len(bench)))
    assert [i.kind for i in (temporal, causal, spatial, logical)] == ["temporal", "causal", "spatial", "logical"]
    assert temporal.facts == {
        "category": "temporal",
        "subtask": "Life Progression",
        "consistency_free": False,
        "reference_text": "A rotten banana.",
        "needs_source": False,
        "hides_instruction": False,
    }
    assert causal.facts["consistency_free"] is True and causal.facts["needs_source"] is True
    assert spatial.facts["reference_text"] == "" and spatial.image.size == (8, 6)
    assert spatial.facts["reference_image"]().size == (9, 6)
    assert logical.facts["reference_text"] == "7" and logical.facts["hides_instruction"] is True
    assert temporal.id == "temporal_reasoning_1" and bench.card.rubric == "rise" and bench.card.mean == "micro"


@pytest.mark.parametrize("name", ["data_total.json", "datav2_total.json"])
def test_names_and_places_of_the_published_file(tmp_path, name):
    save(tmp_path / "data", name=name)
    assert len(catalogue.load("risebench", path=str(tmp_path))) == 4  # found in data/
    assert len(catalogue.load("risebench", path=str(tmp_path / "data" / name), samples=3)) == 3


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (
            {"image": "temporal_reasoning_images/99.png"},
            MissingFile,
            "no picture 'temporal_reasoning_images/99.png'.*hf download",
        ),
        ({"image": ["a.png", "b.png"]}, BadData, "has 2 source pictures"),
        ({"category": "ethical_reasoning"}, BadData, "category 'ethical' is none of temporal, causal"),
        ({"reference": None}, BadData, "has no reference, neither text nor picture"),
        ({"consistency_free": "maybe"}, BadData, "'consistency_free' should be true or false but is 'maybe'"),
        ({"instruction": None}, BadData, "record '0' has no 'instruction'"),
    ],
)
def test_a_wrong_record_is_named(tmp_path, change, error, says):
    with pytest.raises(error, match=says):
        catalogue.load("risebench", path=save(tmp_path, [ROWS[0] | change, *ROWS[1:]]))


def test_no_data_says_how_to_get_it(tmp_path):
    for path in (None, str(tmp_path / "nowhere"), str(tmp_path)):
        with pytest.raises(MissingFile, match="PhoenixZ/RISEBench"):
            catalogue.load("risebench", path=path)
