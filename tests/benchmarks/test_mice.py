"""MICE-Bench as text: every pattern's gold, the quirks, the split, and what is said about bad data."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agents.plan import parse_decomposition, write_decomposition
from benchmarks.base import Decomposition, Edit
from benchmarks.mice import MiceText
from benchmarks.mice_gold import Unmapped, gold_edit
from benchmarks.mice_records import ENV
from common.errors import BadData, BadInput, MissingFile

RULE = "From now on, every edit must use black color only on the object that is being added or changed"


def record(*turns: tuple[str, str, str], image: str = "source_image/x.jpg", **changes) -> dict:
    said, tasks, formatted = zip(*turns, strict=True)
    n = len(turns)
    row = {
        "image": image,
        "instruction": list(said),
        "task_type": list(tasks),
        "formatted_instruction": list(formatted),
        "bg_consistency": [True] * n,
        "unchanged_objects": [["fence"]] * n,
        "available_objects": [["fence"]] * n,
        "all_objects": [["fence"]] * n,
        "turns": n,
    }
    return row | changes


CM = record(
    (f"{RULE}. With this rule active, Add teapot", "subject_add", "Add [teapot]"),
    ("Add text '' on the image", "text_change", "Add text '[]' on the image"),
    ("Remove Teapot", "subject_remove", "Remove [Teapot]"),
)
CU = record(
    ("Change the color of metal car to brown", "color_alter", "Change the color of [metal car] to [brown]"),
    ("Change its count to 4", "count_change", "Change the count of [brown car] to [4]"),
    ("Remove it", "subject_remove", "Remove [brown car]"),
)
LEAK = record(
    ("Remove cat", "subject_remove", "Remove [cat]"),
    ("thought Standard count", "count_change", "thought Standard count is 1. Change [cat] to [3]; or 4"),
    ("Remove dog", "subject_remove", "Remove [dog]"),
)


def write(file: Path, *rows: dict | str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("task", "formatted", "gold"),
    [
        ("subject_add", "Add [Red hat]", Edit("add", "Red hat")),
        ("subject_add", "Add [hat] on the [left] of [man]", Edit("add", "hat", "left of man")),
        ("subject_add", "Add [hat] on the [above] of [man]", Edit("add", "hat", "above man")),
        ("subject_remove", "Remove [hat]", Edit("remove", "hat")),
        ("subject_replace", "Replace [hat] with [cap]", Edit("replace", "hat", "cap")),
        ("color_alter", "Change the color of [hat] to [red]", Edit("recolor", "hat", "red")),
        ("material_alter", "Change the material of [hat] to [wood]", Edit("material", "hat", "wood")),
        ("text_change", "Add text '[Hi [you]]' on the image", Edit("text", "image", "Hi [you]")),
        ("text_change", "Replace the text '[a\nb; c]' on [sign] with '[B]'", Edit("text", "sign", "B")),
        ("text_change", "Replace the text '[]' on [sign] with '[B]'", Edit("text", "sign", "B")),
        ("position_change", "Change the position of [a] to [below] of [b]", Edit("move", "a", "below b")),
        ("count_change", "Change the count of [a] to [3]", Edit("count", "a", "3")),
        ("background_change", "Change the background to [gym  hall]", Edit("background", "background", "gym hall")),
    ],
)
def test_gold_of_every_pattern(task, formatted, gold):
    assert gold_edit(task, formatted) == gold
    assert parse_decomposition(write_decomposition(Decomposition.of([gold]))).edits == (gold,)


@pytest.mark.parametrize(
    ("task", "formatted", "reason"),
    [
        ("text_change", "Add text '[]' on the image", "empty argument"),
        ("subject_replace", "Replace [hat] with [ ]", "empty argument"),
        ("subject_add", "Add [hat] on the [inside] of [man]", "unknown direction"),
        ("style_change", "Make it [baroque]", "unknown task type"),
        ("color_alter", "Remove [hat]", "no pattern fits"),
        ("text_change", "Add text '[a; b]' on the image", "cannot be written"),
        ("text_change", "Add text '[a <3]' on the image", "cannot be written"),
        ("text_change", "Add text '[none]' on the image", "cannot be written"),
    ],
)
def test_what_has_no_gold_says_why(task, formatted, reason):
    with pytest.raises(Unmapped, match=reason):
        gold_edit(task, formatted)


def test_turns_history_and_report(tmp_path):
    write(tmp_path / "cm_train.jsonl", CM, "", LEAK)
    write(tmp_path / "cu_some.jsonl", CU)
    mice = MiceText(tmp_path)
    assert [s.id for s in mice] == [
        *("cm-cm_train-00001-1", "cm-cm_train-00001-3"),
        *("cu-cu_some-00001-1", "cu-cu_some-00001-2", "cu-cu_some-00001-3"),
    ]
    assert mice.sample(1).history == tuple(CM["instruction"][:2])  # what was said stays, gold or not
    assert mice.sample(3).request == "Change its count to 4"
    assert mice.sample(3).gold == (Edit("count", "brown car", "4"),)
    assert mice.sample(3).kind == "cu" and mice.sample(3).image is None
    assert mice.sample(5) == mice.sample(0) and mice.session(2) == mice.session(0)
    assert mice.sessions[0].rule == RULE + "." and mice.sessions[1].rule is None
    assert mice.report == {
        "sessions": 2,
        "turns": {"cm": 6, "cu": 3},
        "mapped": {"cm": 2, "cu": 3},
        "unmapped": {"cm: empty argument": 1, "cm: no pattern fits": 1, "cm: rest of a damaged record": 2},
    }
    assert {s.kind for s in MiceText(tmp_path, categories=("cu",))} == {"cu"}


def test_folders_and_names(tmp_path, monkeypatch):
    write(tmp_path / "data" / "mice_bench" / "anything.jsonl", CM, CU)
    monkeypatch.setenv(ENV, str(tmp_path / "data"))
    assert [s.turns[0].kind for s in MiceText().sessions] == ["cm", "cu"]  # guessed from the rule
    assert len(MiceText(tmp_path / "data" / "mice_bench")) == len(MiceText()) == 5
    write(tmp_path / "up" / "dataset" / "cu" / "train_metadata.jsonl", CM)
    assert MiceText(tmp_path / "up")[0].kind == "cu"  # by the folder it was published in
    assert len(MiceText(tmp_path / "up" / "dataset" / "cu" / "train_metadata.jsonl")) == 2


@pytest.mark.parametrize("path", [None, "nowhere", "."])
def test_without_data_it_says_where_it_comes_from(path, tmp_path, monkeypatch):
    monkeypatch.delenv(ENV, raising=False)
    with pytest.raises(MissingFile, match="github.com/yuxiaooye/Edit-R2.*dataset/.*IMAGEEDIT_DATA"):
        MiceText(None if path is None else tmp_path / path)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ('{"instruction": [', "UTF-8 JSON"),
        ("[" * 100_000, "UTF-8 JSON"),
        ("3", "expected a JSON object"),
        (json.dumps({k: v for k, v in CU.items() if k != "task_type"}), "'task_type' is missing"),
        (json.dumps(CU | {"instruction": "Remove it"}), "list of strings"),
        (json.dumps(CU | {"instruction": [1, 2, 3]}), "list of strings"),
        (json.dumps(CU | {"task_type": ["subject_add"]}), "equally long"),
        (json.dumps(CU | {"instruction": [], "task_type": [], "formatted_instruction": []}), "equally long"),
        (json.dumps(CU | {"turns": 2}), "turns is 2"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(bad, says, tmp_path):
    file = write(tmp_path / "cu_train.jsonl", CU, "", bad, CU)
    with pytest.raises(BadData, match=says) as caught:
        MiceText(tmp_path)
    assert f"{file}:3:" in str(caught.value) and "Correct or delete" in str(caught.value)


def test_not_utf8_is_named_too(tmp_path):
    (tmp_path / "cm_a.jsonl").write_bytes(json.dumps(CM).encode() + b'\n{"a": "\xff"}')
    with pytest.raises(BadData, match="cm_a.jsonl:2:"):
        MiceText(tmp_path)


def test_odd_but_good_bytes(tmp_path):
    said = "Remove\u2028it"  # a line separator inside a string ends no row
    rows = [json.dumps(CU | {"instruction": [said, "x", "y"]}, ensure_ascii=False), json.dumps(CM)]
    (tmp_path / "cu.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    mice = MiceText(tmp_path)
    assert len(mice.sessions) == 2 and mice[0].request == said


def test_an_unusable_split_or_folder_is_an_error(tmp_path):
    write(tmp_path / "cm.jsonl", LEAK)
    with pytest.raises(BadData, match="no usable turn"):
        MiceText(tmp_path)
    with pytest.raises(BadInput, match="unknown split"):
        MiceText(tmp_path, split="dev")
    with pytest.raises(BadInput, match="unknown category"):
        MiceText(tmp_path, categories=("xx",))


def numbered(k: int) -> dict:
    return record((f"Remove cat {k}", "subject_remove", f"Remove [cat {k}]"), image=f"{k}.jpg")


def test_split_is_by_content_and_disjoint(tmp_path):
    rows = [numbered(k) for k in range(400)]
    write(tmp_path / "a" / "cu_a.jsonl", *rows, *(r | {"image": "other.jpg"} for r in rows[:50]))
    write(tmp_path / "b" / "cu_b.jsonl", *reversed(rows))
    parts = {s: {x.request for x in MiceText(tmp_path / "a", split=s)} for s in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 400
    assert {s: {x.request for x in MiceText(tmp_path / "b", split=s)} for s in parts} == parts
    assert 290 < len(parts["train"]) < 350 and 5 < len(parts["validation"]) < 40 and 35 < len(parts["test"]) < 90


def test_published_test_files_are_never_trained_on(tmp_path):
    write(tmp_path / "cu_train.jsonl", *(numbered(k) for k in range(60)))
    write(tmp_path / "cu_test.jsonl", *(numbered(k) for k in range(50, 100)))
    test = {f"Remove cat {k}" for k in range(50, 100)}
    assert not test & {x.request for x in MiceText(tmp_path, split="train")}
    assert test <= {x.request for x in MiceText(tmp_path, split="test")}
    (tmp_path / "cu_train.jsonl").unlink()
    assert len(MiceText(tmp_path, split="train")) > 20  # nothing but such files: split like any other


@pytest.mark.skipif(not os.environ.get(ENV), reason=f"{ENV} is not set")
def test_the_real_records():
    mice = MiceText()
    assert len(mice) > 1000 and {s.kind for s in mice} == {"cm", "cu"}
    assert sum(mice.report["mapped"].values()) == len(mice)
    assert sum(mice.report["unmapped"].values()) < 0.03 * sum(mice.report["turns"].values())
    for sample in mice:
        text = write_decomposition(Decomposition.of(sample.gold))
        assert parse_decomposition(text).edits == sample.gold
    parts = [MiceText(split=s) for s in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(mice)
    said = [{s.history + (s.request,) for s in part} for part in parts]
    assert not said[0] & said[2] and not said[0] & said[1] and not said[1] & said[2]
    assert 0.75 < len(parts[0]) / len(mice) < 0.85 and 0.1 < len(parts[2]) / len(mice) < 0.2
