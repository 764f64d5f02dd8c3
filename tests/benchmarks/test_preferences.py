"""Preference data in the exact published schemas, as small files; and every way in which they can be wrong."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures

from benchmarks.base import Edit
from benchmarks.preferences import load, sandbox
from benchmarks.preferences.base import PreferenceSet
from common.errors import BadData, BadInput, ImageEditError, MissingFile
from judges.sandbox import SandboxJudge


def picture(shade: int, side: int = 8) -> Pictures.Image:
    return Pictures.new("RGB", (side, side), (shade, 255 - shade, shade // 2))


def shade(opened: Pictures.Image) -> int:
    return int(np.asarray(opened)[0, 0, 0])


TEXT, PICTURE = Value("string"), Image()


def save(rows: Sequence[Mapping[str, Any]], features: Mapping[str, Any], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [row[name] for row in rows] for name in features}
    Dataset.from_dict(columns, features=Features(features)).to_parquet(str(path))
    return path


# ----------------------------------------------------------------------------------------------------------------- TIGER
TIGER = dict.fromkeys(
    ("id", "instruction", "ranking", "comparison_type", "dataset", "model_1", "model_2"), TEXT
) | dict.fromkeys(("source_image", "candidate_1", "candidate_2"), PICTURE)


def tiger_row(group: str, kind: str, said: str, ranking: str) -> dict[str, Any]:
    one, two = said.split("vs")
    return {
        "id": f"{group}_{said}",
        "instruction": f"request of {group}",
        "ranking": ranking,
        "comparison_type": said,
        "dataset": kind,
        "model_1": f"model {one}",
        "model_2": f"model {two}",
        "source_image": picture(0),
        "candidate_1": picture(10 * (1 + ord(one) - ord("A"))),
        "candidate_2": picture(10 * (1 + ord(two) - ord("A"))),
    }


ROWS = [
    tiger_row("p", "2pair", "AvsB", "A=B"),
    tiger_row("q", "2pair", "AvsB", "B>A"),
    tiger_row("r", "3pair", "AvsB", "A>B"),
    tiger_row("r", "3pair", "AvsC", "C>A"),
    tiger_row("r", "3pair", "BvsC", "C>B"),
]
FOUR = [
    tiger_row("s", "4pair", said, said.replace("vs", ">")) for said in ("AvsB", "AvsC", "AvsD", "BvsC", "BvsD", "CvsD")
]


def test_tiger_groups_its_rows_and_names_edits_by_their_letters(tmp_path: Path) -> None:
    save([*ROWS, *FOUR], TIGER, tmp_path / "data" / "train-00000-of-00001.parquet")
    data = load("tiger", path=str(tmp_path))
    assert [(g.kind, len(g.candidates), len(g.comparisons)) for g in data.groups] == [
        ("2-way", 2, 1),
        ("2-way", 2, 1),
        ("3-way", 3, 3),
        ("4-way", 4, 6),
    ]
    assert [[c.human for c in g.comparisons] for g in data.groups[:3]] == [["tie"], ["b"], ["a", "b", "b"]]
    three = data.groups[2]
    assert [(c.a, c.b) for c in three.comparisons] == [(0, 1), (0, 2), (1, 2)]
    assert [shade(c.picture()) for c in three.candidates] == [10, 20, 30]  # type: ignore[misc]
    assert [c.model for c in three.candidates] == ["model A", "model B", "model C"]
    assert three.item.request == "request of r" and three.item.image is not None and shade(three.item.image) == 0
    assert data.rule == "groups" and len(data.candidates) == 2 + 2 + 3 + 4


def test_tiger_as_published_in_three_folders_with_rankings_by_side(tmp_path: Path) -> None:
    plain = [{**row, "ranking": ">".join("AB")} for row in ROWS[2:]]
    features = {k: v for k, v in TIGER.items() if k not in ("dataset", "model_1", "model_2")}
    save(ROWS[:2], features, tmp_path / "2pair" / "train-00000-of-00001.parquet")
    save(plain, features, tmp_path / "3pair" / "train-00000-of-00001.parquet")
    data = load("tiger", path=str(tmp_path))
    assert [g.id for g in data.groups] == ["2pair-p", "2pair-q", "3pair-r"]
    assert [c.human for c in data.groups[2].comparisons] == ["a", "a", "a"]  # candidate_1 in every row


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (ROWS[2:4], "2 rows for 2 different comparisons"),
        ([*ROWS[2:4], ROWS[3]], "3 rows for 2 different"),
        ([{**ROWS[0], "ranking": "better"}], "'ranking'"),
        ([{**ROWS[0], "ranking": "C>A"}], "'ranking'"),
        ([{**ROWS[0], "comparison_type": "first"}], "'comparison_type'"),
        ([{**r, "comparison_type": None} for r in ROWS[2:]], "'comparison_type'"),
        ([{**ROWS[0], "instruction": None}], "instruction"),
    ],
)
def test_tiger_rows_that_are_not_as_published_are_named(
    tmp_path: Path, rows: list[dict[str, Any]], expected: str
) -> None:
    file = save(rows, TIGER, tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(BadData, match=expected):
        load("tiger", path=str(file.parent))


def test_a_missing_column_a_wrong_type_and_a_missing_picture_are_named(tmp_path: Path) -> None:
    less = {k: v for k, v in TIGER.items() if k != "ranking"}
    save(ROWS, less, tmp_path / "a" / "train-00000-of-00001.parquet")
    with pytest.raises(BadData, match="'ranking'.*How to get it"):
        load("tiger", path=str(tmp_path / "a"))
    wrong = [{**r, "ranking": 1} for r in ROWS]
    save(wrong, TIGER | {"ranking": Value("int64")}, tmp_path / "b" / "train-00000-of-00001.parquet")
    with pytest.raises(BadData, match="'ranking' should hold text"):
        load("tiger", path=str(tmp_path / "b"))
    save([{**ROWS[0], "candidate_2": None}], TIGER, tmp_path / "c" / "train-00000-of-00001.parquet")
    with pytest.raises(BadData, match="candidate_2"):
        load("tiger", path=str(tmp_path / "c")).groups[0].candidates[1].picture()  # type: ignore[misc]


def test_without_network_and_without_a_copy_it_is_said_how_to_get_the_data() -> None:
    for name, said in (("tiger", "gated"), ("editscore", "EditScore/EditReward-Bench"), ("genai_bench", "GenAI-Bench")):
        with pytest.raises(ImageEditError, match=said):
            load(name)
    for name in ("imagenhub", "mmrb2", "compass", "csv"):
        with pytest.raises(MissingFile, match="How"):
            load(name)
    with pytest.raises(BadInput, match="tiger"):
        load("tigers")
    with pytest.raises(MissingFile, match="nothing at"):
        load("tiger", path="/nowhere/at/all")


# ------------------------------------------------------------------------------------------------ EditScore and GenAI-Bench
EDITSCORE = {
    "key": List(TEXT),
    "instruction": TEXT,
    "input_image": PICTURE,
    "output_images": List(PICTURE),
    "task_type": TEXT,
    "dimension": TEXT,
}


def editscore_row(n: int, dimension: str, task: str = "color_alter") -> dict[str, Any]:
    return {
        "key": [f"{n}_good", f"{n}_bad"],
        "instruction": f"request {n}",
        "input_image": picture(0),
        "output_images": [picture(100 + n), picture(200 + n)],
        "task_type": task,
        "dimension": dimension,
    }


def test_editscore_prefers_the_first_and_judges_an_edit_of_several_dimensions_once(tmp_path: Path) -> None:
    results = [
        editscore_row(1, "overall"),
        editscore_row(1, "consistency"),
        editscore_row(2, "prompt_following", "style_change"),
    ]
    save(results, EDITSCORE, tmp_path / "train-00000-of-00001.parquet")
    data = load("editscore", path=str(tmp_path))
    assert [(g.kind, g.aspect, g.comparisons[0].human) for g in data.groups] == [
        ("color_alter", "overall", "a"),
        ("color_alter", "consistency", "a"),
        ("style_change", "prompt_following", "a"),
    ]
    assert list(data.candidates) == ["1_good", "1_bad", "2_good", "2_bad"]
    assert [shade(c.picture()) for c in data.groups[2].candidates] == [102, 202]  # type: ignore[misc]
    assert data.groups[0].cluster == data.groups[1].cluster != data.groups[2].cluster
    assert data.rule == "strict" and data.card.mean == "macro"


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"dimension": "beauty"}, "'dimension'"), ({"key": ["one"]}, "'key'"), ({"key": ["x", "x"]}, "'key'")],
)
def test_editscore_rows_that_are_not_as_published_are_named(
    tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    save([editscore_row(0, "overall") | change], EDITSCORE, tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(BadData, match=f"row 0, column {expected}"):
        load("editscore", path=str(tmp_path))


def test_editscore_needs_two_pictures(tmp_path: Path) -> None:
    row = editscore_row(0, "overall") | {"output_images": [picture(5)]}
    save([row], EDITSCORE, tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(BadData, match="row 0, column 'output_images': expected 2 pictures, found 1 of them"):
        load("editscore", path=str(tmp_path)).groups[0].candidates[0].picture()  # type: ignore[misc]


def written(image: Pictures.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", **options)
    return file.getvalue()


@pytest.mark.parametrize("saved", ["parquet", "disk"])
def test_editscores_lists_of_pictures_go_through_the_one_reader(
    tmp_path: Path, saved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turned by EXIF, beyond the pixel limit, damaged: as for a picture in a column of its own."""
    turned = Pictures.Exif()
    turned[0x0112] = 6
    first, second = picture(5).resize((20, 10)), picture(7, 300)
    pictures = [{"bytes": data, "path": None} for data in (written(first, exif=turned), written(second))]
    cut = {"bytes": written(picture(9, 40))[:80], "path": None}
    rows = [
        editscore_row(0, "overall") | {"output_images": pictures},
        editscore_row(1, "overall") | {"output_images": [pictures[0], cut]},
    ]
    if saved == "parquet":
        save(rows, EDITSCORE, tmp_path / "train-00000-of-00001.parquet")
    else:
        columns = {name: [row[name] for row in rows] for name in EDITSCORE}
        Dataset.from_dict(columns, features=Features(EDITSCORE)).save_to_disk(str(tmp_path / "kept"))
    data = load("editscore", path=str(tmp_path / "kept" if saved == "disk" else tmp_path))
    one, two = (c.picture for c in data.groups[0].candidates)
    assert one().size == (10, 20) and shade(one()) == 5 and two().size == (300, 300)  # type: ignore[misc]
    with pytest.raises(BadData, match=r"row 1, column 'output_images', picture 2: not a readable picture"):
        data.groups[1].candidates[1].picture()  # type: ignore[misc]
    monkeypatch.setattr("common.pictures.MAX_PIXELS", 50_000)
    with pytest.raises(BadData, match="300x300 pixels, more than 50,000"):
        two()  # type: ignore[misc]


GENAI = dict.fromkeys(
    ("source_prompt", "target_prompt", "instruct_prompt", "left_model", "right_model", "vote_type"), TEXT
) | dict.fromkeys(("source_image", "left_output_image", "right_output_image"), PICTURE)


def genai_row(vote: str) -> dict[str, Any]:
    return {
        "source_prompt": "a dog",
        "target_prompt": "a cat",
        "instruct_prompt": "make it a cat",
        "left_model": "MagicBrush",
        "right_model": "SDEdit",
        "vote_type": vote,
        "source_image": picture(1),
        "left_output_image": picture(2),
        "right_output_image": picture(3),
    }


def test_genai_bench_keeps_its_four_labels(tmp_path: Path) -> None:
    votes = ["leftvote", "rightvote", "tievote", "bothbad_vote"]
    save([genai_row(v) for v in votes], GENAI, tmp_path / "test_v1-00000-of-00001.parquet")
    save([genai_row("leftvote")], GENAI, tmp_path / "test-00000-of-00001.parquet")
    data = load("genai_bench", path=str(tmp_path))
    assert [g.comparisons[0].human for g in data.groups] == ["a", "b", "tie_good", "tie_bad"]
    assert [(c.model, shade(c.picture())) for c in data.groups[0].candidates] == [("MagicBrush", 2), ("SDEdit", 3)]  # type: ignore[misc]
    assert data.groups[0].item.facts == {"source_prompt": "a dog", "target_prompt": "a cat"}
    assert len({g.cluster for g in data.groups}) == 1 and data.rule == "four_way"
    assert len(load("genai_bench", path=str(tmp_path), split="test").groups) == 1
    with pytest.raises(MissingFile, match="dev"):
        load("genai_bench", path=str(tmp_path), split="dev")
    save([genai_row("upvote")], GENAI, tmp_path / "x" / "test_v1-00000-of-00001.parquet")
    with pytest.raises(BadData, match="row 0, column 'vote_type'.*'upvote'"):
        load("genai_bench", path=str(tmp_path / "x"))


# -------------------------------------------------------------------------------------------------------------- ImagenHub
def imagenhub(root: Path, cells: Sequence[Sequence[str]] = (("[0.5, 1]", "[0,0]"), ("[1 , 1]", "[0, 0.5]"))) -> Path:
    gallery = root / "ImagenHub_Text-Guided_IE"
    uids = [f"sample_{i}_1.jpg" for i in range(len(cells))]
    for folder in ("input", "DiffEdit", "MagicBrush"):
        (gallery / folder).mkdir(parents=True, exist_ok=True)
        for i, uid in enumerate(uids):
            picture(10 * i + len(folder)).save(gallery / folder / uid, format="png")
    (gallery / "dataset_lookup.json").write_text(json.dumps({u: {"instruction": f"edit {u}"} for u in uids}))
    for rater in (1, 2, 3):
        lines = ["uid\tDiffEdit\tMagicBrush", *("\t".join((u, *c)) for u, c in zip(uids, cells, strict=True))]
        (root / f"Text-Guided_IE_rater{rater}.tsv").write_text("\n".join(lines) + "\n")
    return root


def test_imagenhub_joins_raters_pictures_and_instructions(tmp_path: Path) -> None:
    data = load("imagenhub", path=str(imagenhub(tmp_path)))
    first = data.groups[0]
    assert [c.model for c in first.candidates] == ["DiffEdit", "MagicBrush"] and data.aspects == ("SC", "PQ")
    assert first.candidates[0].ratings == ((0.5, 1.0),) * 3 and data.groups[1].candidates[1].ratings[0] == (0.0, 0.5)
    assert first.item.request == "edit sample_0_1.jpg" and shade(first.item.image) == 5  # type: ignore[arg-type]
    assert shade(data.groups[1].candidates[0].picture()) == 18  # type: ignore[misc]


def test_what_imagenhub_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"rater1.tsv:3, column 'DiffEdit'.*'\[2, 1\]'"):
        load("imagenhub", path=str(imagenhub(tmp_path / "a", (("[1, 1]", "[0,0]"), ("[2, 1]", "[0,0]")))))
    root = imagenhub(tmp_path / "b")
    (root / "ImagenHub_Text-Guided_IE" / "MagicBrush" / "sample_1_1.jpg").unlink()
    with pytest.raises(MissingFile, match="MagicBrush/sample_1_1.jpg"):
        load("imagenhub", path=str(root))
    root = imagenhub(tmp_path / "c")
    (root / "Text-Guided_IE_rater2.tsv").write_text("uid\tDiffEdit\tMagicBrush\nsample_0_1.jpg\t[1, 1]\t[0, 0]\n")
    with pytest.raises(BadData, match="'sample_1_1.jpg' is in only one"):
        load("imagenhub", path=str(root))
    (tmp_path / "d").mkdir()
    with pytest.raises(MissingFile, match="_rater"):
        load("imagenhub", path=str(tmp_path / "d"))
    root = imagenhub(tmp_path / "e")
    (root / "ImagenHub_Text-Guided_IE" / "dataset_lookup.json").write_text("{}")
    with pytest.raises(BadData, match="no instruction for 'sample_0_1.jpg'"):
        load("imagenhub", path=str(root))


# ----------------------------------------------------------------------------------------------- MMRB2 and EditReward-Compass
def mmrb2_pair(n: int, chosen: str = "A", votes: Sequence[int] = (6, 5, 3)) -> dict[str, Any]:
    """As benchmark/build_from_hf.py of facebookresearch/MMRB2 writes it."""
    return {
        "id": f"emu-edit_{n}",
        "prompt_content": [["image", f"input_images/{n}.png"], ["text", f"make it {n}"]],
        "prompt_source": "emu-edit",
        "prompt_metadata": {"id": n % 2, "split": "test", "task": "global"},
        "response_a": {"model_name": "gemini-2.5-flash", "response_content": [["image", f"images/{n}_a.png"]]},
        "response_b": {"model_name": "flux-kontext", "response_content": [["image", f"images/{n}_b.png"]]},
        "chosen": chosen,
        "human_annotations": list(votes),
    }


def write_mmrb2(root: Path, pairs: Sequence[Mapping[str, Any]]) -> Path:
    for folder in ("images", "input_images"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for n in range(len(pairs)):
        for k, name in enumerate((f"input_images/{n}", f"images/{n}_a", f"images/{n}_b")):
            picture(10 * n + k).save(root / f"{name}.png")
    (root / "edit.json").write_text(json.dumps({"pairs": pairs}))
    return root


def test_mmrb2_reads_its_pairs_with_the_votes_of_three_raters(tmp_path: Path) -> None:
    pairs = [mmrb2_pair(0), mmrb2_pair(1, "B", (1, 2, 4)), mmrb2_pair(2)]
    data = load("mmrb2", path=str(write_mmrb2(tmp_path, pairs)))
    assert [(g.id, g.comparisons[0].human, g.comparisons[0].votes) for g in data.groups[:2]] == [
        ("emu-edit_0", "a", ("a", "a", "b")),
        ("emu-edit_1", "b", ("b", "b", "a")),
    ]
    first = data.groups[0]
    assert [c.model for c in first.candidates] == ["gemini-2.5-flash", "flux-kontext"]
    assert [shade(c.picture()) for c in first.candidates] == [1, 2]  # type: ignore[misc]
    assert first.item.request == "make it 0" and shade(first.item.image) == 0  # type: ignore[arg-type]
    assert first.cluster == data.groups[2].cluster != data.groups[1].cluster  # answers to the same request
    assert data.rule == "pairs" and data.notes == () and first.kind == "emu-edit"
    assert load("mmrb2", path=str(tmp_path / "edit.json")).groups == data.groups


def test_mmrb2_pairs_of_several_pictures_are_left_out_and_counted(tmp_path: Path) -> None:
    two, three = mmrb2_pair(1), mmrb2_pair(2)
    two["prompt_content"].insert(0, ["image", "input_images/0.png"])
    three["response_b"]["response_content"] *= 3
    data = load("mmrb2", path=str(write_mmrb2(tmp_path, [mmrb2_pair(0), two, three])))
    assert [g.id for g in data.groups] == ["emu-edit_0"] and "2 of 3 pairs left out" in data.notes[0]
    with pytest.raises(BadData, match="no pair has one picture"):
        load("mmrb2", path=str(write_mmrb2(tmp_path, [two])))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"chosen": "C"}, "key 'chosen': expected one of A, B, found 'C'"),
        ({"chosen": None}, "key 'chosen': expected text, found None"),
        ({"id": ""}, "key 'id': expected text"),
        ({"human_annotations": [7, 1, 1]}, "key 'human_annotations': expected numbers from 1 to 6"),
        ({"prompt_content": "edit it"}, "key 'prompt_content': expected a list"),
        ({"prompt_content": [["video", "x"]]}, "key 'prompt_content': expected .*found"),
        ({"prompt_content": [["image", "input_images/0.png"]]}, "there is no text"),
        ({"response_b": None}, "key 'response_b': expected an object"),
        ({"response_a": {"response_content": []}}, "response_a: there is no key 'model_name'"),
        ({"prompt_content": [["image", "gone.png"], ["text", "x"]]}, "there is no picture .*gone.png"),
    ],
)
def test_mmrb2_pairs_that_are_not_as_published_are_named(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ImageEditError, match=f"edit.json, row 0.*{expected}"):
        load("mmrb2", path=str(write_mmrb2(tmp_path, [mmrb2_pair(0) | change])))


def test_an_mmrb2_pair_that_is_there_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="row 1, key 'id': 'emu-edit_0' is there twice"):
        load("mmrb2", path=str(write_mmrb2(tmp_path, [mmrb2_pair(0), mmrb2_pair(0)])))
    (tmp_path / "edit.json").write_text('{"rows": []}')
    with pytest.raises(BadData, match="no key 'pairs'; it has rows"):
        load("mmrb2", path=str(tmp_path))
    (tmp_path / "edit.json").write_text('{"pairs": [')
    with pytest.raises(BadData, match="not .*JSON"):
        load("mmrb2", path=str(tmp_path))


def compass_row(dimension: str, label: str = "preference") -> dict[str, Any]:
    return {
        "source_image": "pictures/source.png",
        "winner": "pictures/winner.png",
        "loser": "pictures/loser.png",
        "prompt": "make it blue",
        "label": label,
        "dimension": dimension,
        "category": "colour",
    }


def write_compass(root: Path, rows: Sequence[Mapping[str, Any]], name: str = "reward_eval.json") -> Path:
    (root / "pictures").mkdir(parents=True, exist_ok=True)
    for k, part in enumerate(("source", "winner", "loser")):
        picture(k).save(root / "pictures" / f"{part}.png")
    lines = name.endswith("l")
    text = "\n".join(json.dumps(row) for row in rows) if lines else json.dumps(rows)
    (root / name).write_text(text)
    return root


@pytest.mark.parametrize("name", ["reward_eval.json", "rows.jsonl"])
def test_compass_asks_each_dimension_for_its_own_score_and_judges_an_edit_once(tmp_path: Path, name: str) -> None:
    rows = [compass_row("IA"), compass_row("VC", "tie"), compass_row("VQ")]
    data = load("compass", path=str(write_compass(tmp_path, rows, name)))
    assert [(g.kind, g.aspect, g.comparisons[0].human) for g in data.groups] == [
        ("IA", "prompt_following", "a"),
        ("VC", "consistency", "tie"),
        ("VQ", "perceptual_quality", "a"),
    ]
    assert len(data.candidates) == 2 and len({g.cluster for g in data.groups}) == 1 and data.rule == "dimensions"
    assert [shade(c.picture()) for c in data.groups[0].candidates] == [1, 2]  # type: ignore[misc]
    assert data.groups[0].item.request == "make it blue"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"label": "better"}, "key 'label': expected one of preference, tie, found 'better'"),
        ({"dimension": "IQ"}, "key 'dimension': expected one of IA, VC, VQ"),
        ({"prompt": " "}, "key 'prompt': expected text"),
        ({"winner": ["a.png"]}, "key 'winner': expected text"),
        ({"loser": "gone.png"}, "key 'loser': there is no picture .*gone.png"),
    ],
)
def test_compass_rows_that_are_not_as_published_are_named(
    tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    rows = [compass_row("IA"), compass_row("VC") | change]
    with pytest.raises(ImageEditError, match=f"reward_eval.json, row 1.*{expected}"):
        load("compass", path=str(write_compass(tmp_path, rows)))
    without = {key: value for key, value in compass_row("VC").items() if key != "label"}
    with pytest.raises(BadData, match="row 1: there is no key 'label'; the row has source_image"):
        load("compass", path=str(write_compass(tmp_path, [compass_row("IA"), without])))


def test_the_file_of_compass_is_found_or_asked_for(tmp_path: Path) -> None:
    root = write_compass(tmp_path, [compass_row("IA")])
    assert load("compass", path=str(root / "reward_eval.json")).groups == load("compass", path=str(root)).groups
    (root / "info.json").write_text("{}")
    with pytest.raises(BadInput, match="2 JSON files .*give the one with the pairs as path"):
        load("compass", path=str(root))
    (root / "reward_eval.json").write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(BadData, match="call such a file .jsonl"):
        load("compass", path=str(root / "reward_eval.json"))


# -------------------------------------------------------------------------------------------------------------------- CSV
def write_csv(folder: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (("s", 0), ("x", 1), ("y", 2)):
        picture(value).save(folder / f"{name}.png")
    path = folder / "preferences.csv"
    with path.open("w", newline="", encoding="utf-8") as f:
        table = csv.DictWriter(f, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


BASE = {"id": "1", "instruction": "do, it", "source": "s.png", "candidate_a": "x.png", "candidate_b": "y.png"}


def test_a_csv_with_raters_scores_gold_and_clusters(tmp_path: Path) -> None:
    more = {"rater_1": "A", "rater_2": "a", "rater_3": "tie", "score_a": "7.5", "score_b": "", "kind": "add", "cluster": "c",
            "model_a": "m", "model_b": "n", "gold": '[["recolor", "red circle", "blue"], ["remove", "tree", null]]'}  # fmt: skip
    two = BASE | more | {"id": "2", "rater_2": "b", "rater_1": "tie_good", "rater_3": ""}
    data = load("csv", path=str(write_csv(tmp_path, [BASE | more, two])))
    first, second = data.groups
    assert first.comparisons[0].human == "a" and first.comparisons[0].votes == ("a", "a", "tie")
    assert second.comparisons[0].human == "tie" and second.comparisons[0].votes == ("tie_good", "b")
    assert [c.score for c in first.candidates] == [7.5, None] and [c.model for c in first.candidates] == ["m", "n"]
    assert first.item.gold == (Edit("recolor", "red circle", "blue"), Edit("remove", "tree", None))
    assert first.cluster == "c" and first.kind == "add" and shade(first.candidates[1].picture()) == 2  # type: ignore[misc]
    assert len(data.candidates) == 2  # the same edit of the same request in two rows is one edit


def test_a_csv_of_scores_needs_no_pictures(tmp_path: Path) -> None:
    row = {"id": "1", "instruction": "x", "human": "b", "score_a": "1", "score_b": "2"}
    data = load("csv", path=str(write_csv(tmp_path, [row])))
    assert data.groups[0].candidates[0].picture is None and data.groups[0].comparisons[0].human == "b"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"human": "left"}, r":2, column 'human'.*'left'"),
        ({"human": ""}, ":2: no value in column 'human'"),
        ({"human": "a", "instruction": ""}, "'instruction'"),
        ({"human": "a", "candidate_b": ""}, "'candidate_b'"),
        ({"human": "a", "candidate_b": "gone.png"}, "there is no picture .*gone.png"),
        ({"human": "a", "score_a": "high"}, "'score_a'.*'high'"),
        ({"human": "a", "score_a": "nan"}, "'score_a'"),
        ({"human": "a", "gold": "[1]"}, "'gold'"),
        ({"human": "a", "winner": "a"}, "unknown column 'winner'"),
    ],
)
def test_what_is_wrong_in_a_csv_is_named_with_its_line(tmp_path: Path, change: dict[str, str], expected: str) -> None:
    with pytest.raises(ImageEditError, match=expected):
        load("csv", path=str(write_csv(tmp_path, [BASE | change])))


def test_an_id_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=":3: the id '1' is there twice"):
        load("csv", path=str(write_csv(tmp_path, [BASE | {"human": "a"}] * 2)))


def test_rows_that_are_one_comparison_are_one_cluster_whatever_their_ids_and_sides(tmp_path: Path) -> None:
    same = BASE | {"human": "a", "cluster": ""}
    swapped = same | {"candidate_a": "y.png", "candidate_b": "x.png", "human": "b"}
    copied = same | {"candidate_a": "copy.png"}
    other = same | {"instruction": "something else"}
    rows = [row | {"id": str(i)} for i, row in enumerate([same, swapped, copied, other, same | {"cluster": "mine"}])]
    path = write_csv(tmp_path, rows)
    (tmp_path / "copy.png").write_bytes((tmp_path / "x.png").read_bytes())
    data = load("csv", path=str(path))
    clusters = [g.cluster for g in data.groups]
    assert len({*clusters[:3], clusters[4]}) == 1 and clusters[3] not in clusters[:3]
    assert len(data.notes) == 1 and data.notes[0].startswith(
        "4 rows are the same comparison under several ids (0, 1, 2, 4)"
    )
    alone = load("csv", path=str(write_csv(tmp_path, [same, other | {"id": "2"}])))
    assert alone.notes == () and len({g.cluster for g in alone.groups}) == 2


@pytest.mark.parametrize(
    ("labels", "contradict"),
    [("aa", False), (["tie", "tie_good"], False), ("ab", True), (["tie", "a"], True), (["tie_good", "tie_bad"], True)],
)
def test_contradictory_labels_are_named(tmp_path: Path, labels: Sequence[str], contradict: bool) -> None:
    rows = [BASE | {"id": f"r{i}", "human": label} for i, label in enumerate(labels)]
    notes = load("csv", path=str(write_csv(tmp_path, rows))).notes
    said = f"contradictory labels of the same comparison (r0: {labels[0]}, r1: {labels[1]})"
    assert [n for n in notes if n.startswith(said)] == list(notes[1:]) and (len(notes) == 2) == contradict
    one = BASE | {"candidate_b": "x.png", "human": "b"}
    assert load("csv", path=str(write_csv(tmp_path, [one]))).notes == ("row 1 prefers one of two equal pictures",)
    several = [one | {"id": f"r{i}", "instruction": f"do {i}"} for i in range(6)]
    assert load("csv", path=str(write_csv(tmp_path, several))).notes == (
        "6 rows (r0, r1, r2, r3 and 2 more) prefer one of two equal pictures",
    )
    raters = BASE | {"human": "a", "rater_1": "b", "rater_2": "b", "rater_3": "a"}
    assert load("csv", path=str(write_csv(tmp_path, [raters]))).notes == (
        "row 1 has the label a, but most of its raters say b",
    )
    assert load("csv", path=str(write_csv(tmp_path, [raters | {"rater_2": "tie"}]))).notes == ()  # nobody prevails


# ------------------------------------------------------------------------------------------------------------ the sandbox
def test_the_sandboxs_set_is_known_to_be_right_and_the_same_every_time(tmp_path: Path) -> None:
    one, two = (sandbox.write(tmp_path / n, rows=20, seed=1) for n in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    data = load("csv", path=str(one.parent))
    labels = [g.comparisons[0].human for g in data.groups]
    assert set(labels) == {"a", "b", "tie_good", "tie_bad"}
    judge = SandboxJudge()
    for group, label in zip(data.groups, labels, strict=True):
        a, b = (judge.judge(group.item.image, c.picture(), group.item).scores["overall"] for c in group.candidates)  # type: ignore
        assert {"a": a > b, "b": b > a, "tie_good": a == b == 10, "tie_bad": max(a, b) < 1}[label], (group.id, a, b)
    with pytest.raises(BadInput, match="rows=0"):
        sandbox.write(tmp_path, rows=0)


def test_a_sample_is_drawn_by_seed_and_said(tmp_path: Path) -> None:
    path = str(sandbox.write(tmp_path, rows=12))

    def ids(data: PreferenceSet) -> list[str]:
        return [g.id for g in data.groups]

    some = load("csv", path=path, samples=5, seed=1)
    assert ids(some) == ids(load("csv", path=path, samples=5, seed=1)) != ids(load("csv", path=path, samples=5, seed=2))
    assert (
        len(some.groups) == 5 and "5 of 12" in some.card.sampling and set(ids(some)) <= set(ids(load("csv", path=path)))
    )
