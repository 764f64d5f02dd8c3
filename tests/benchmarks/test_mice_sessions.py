"""MICE-Bench's sessions with pictures: whole sessions, facts for its scores, splits, and pictures that are not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import catalogue
from benchmarks.base import Edit
from benchmarks.mice import MiceText
from benchmarks.mice_records import ENV, find_folder
from benchmarks.mice_sessions import read_sessions
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import make_session
from benchmarks.sandbox.mice_export import in_mice, write_sessions
from common.errors import BadData, BadInput, MissingFile

CM = {
    "image": "source_image/a.jpg",
    "instruction": ["From now on black. With this rule active, Add hat", "Add text '' on the image", "Remove hat"],
    "task_type": ["subject_add", "text_change", "subject_remove"],
    "formatted_instruction": ["Add [hat]", "Add text '[]' on the image", "Remove [hat]"],
    "bg_consistency": [True, True, False],
    "unchanged_objects": [["fence"], ["fence"], []],
    "available_objects": [["fence", "hat"], ["fence", "hat"], ["fence"]],
    "all_objects": [["fence", "hat"]] * 3,
    "turns": 3,
}
CU = CM | {
    "image": "/somebody/elses/folder/b.jpg",
    "instruction": ["Change the color of car to red", "Remove it", "Add dog"],
    "task_type": ["color_alter", "subject_remove", "subject_add"],
    "formatted_instruction": ["Change the color of [car] to [red]", "Remove [red car]", "Add [dog]"],
}
LEAK = CM | {"formatted_instruction": ["Add [hat]", "thought Standard", "Remove [hat]"]}


def write(folder: Path, name: str, *rows: dict, pictures: tuple[str, ...] = ("a.jpg", "b.jpg")) -> str:
    (folder / "source_image").mkdir(parents=True, exist_ok=True)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    for k, picture in enumerate(pictures):
        Image.new("RGB", (8 + k, 8)).save(folder / "source_image" / picture)
    return str(folder)


def test_sessions_are_whole_and_carry_what_mice_scores_need(tmp_path):
    bench = catalogue.load("mice", path=write(tmp_path, "cm_test.jsonl", CM, LEAK), split="all")
    assert len(bench) == 1 and "1 damaged records left out" in bench.card.sampling
    unit = bench.unit(0)
    assert [t.turn for t in unit] == [0, 1, 2] and {t.session for t in unit} == {"cm-cm_test-00001"}
    assert [t.gold for t in unit] == [(Edit("add", "hat"),), (), (Edit("remove", "hat"),)]  # a turn without gold stays
    assert unit[2].history == tuple(CM["instruction"][:2]) and unit[2].subsets == ("all", "cm", "cm, turn 3")
    assert unit[1].facts == {
        "task_type": "text_change",
        "formatted_instruction": "Add text '[]' on the image",
        "bg_consistency": True,
        "rule": "From now on black.",
        "gold": "empty argument",
        "unchanged_objects": ("fence",),
        "available_objects": ("fence", "hat"),
        "all_objects": ("fence", "hat"),
    }
    assert all(t.image.size == (8, 8) for t in unit)


def test_pictures_are_found_by_name_beside_or_above_the_records(tmp_path):
    write(tmp_path, "cu/test_metadata.jsonl", CU)
    (unit,) = (catalogue.load("mice", path=str(tmp_path)).unit(i) for i in range(1))
    assert unit[0].kind == "cu" and unit[0].image.size == (9, 8) and unit[1].facts["rule"] is None
    assert len(catalogue.load("mice", path=str(tmp_path / "cu" / "test_metadata.jsonl"))) == 1


def test_a_missing_or_ambiguous_picture_is_named(tmp_path):
    path = write(tmp_path, "cu.jsonl", CU, pictures=("a.jpg",))
    with pytest.raises(MissingFile, match="no picture 'b.jpg' in .*source_image.*Edit-R2.*mice_text"):
        catalogue.load("mice", path=path)
    for part in ("x", "y"):
        (tmp_path / "source_image" / part).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / "source_image" / part / "b.jpg")
    with pytest.raises(BadData, match="several pictures are called 'b.jpg'"):
        catalogue.load("mice", path=path)


def numbered(k: int) -> dict:
    return CU | {"instruction": [f"Change the color of car {k} to red", "Remove it", "Add dog"]}


def test_splits_agree_with_mice_text(tmp_path):
    write(tmp_path, "cu_train.jsonl", *(numbered(k) for k in range(60)))
    for split in ("train", "validation", "test", "all"):
        first = {s.turns[0].request for s in read_sessions(tmp_path, split)[0]}
        assert first == {s.turns[0].request for s in MiceText(tmp_path, split=split).sessions}
    assert len(read_sessions(tmp_path)[0]) == 60  # nothing is published as test: everything
    write(tmp_path, "cu_test.jsonl", *(numbered(k) for k in range(100, 110)))
    sessions, left_out = read_sessions(tmp_path)
    assert {s.id.rpartition("-")[0] for s in sessions} == {"cu-cu_test"} and len(sessions) == 10 and not left_out
    with pytest.raises(BadInput, match="unknown split 'dev'"):
        read_sessions(tmp_path, "dev")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": None}, "'image' should be the name of a picture but is None"),
        ({"image": 3}, "'image' should be"),
        ({"bg_consistency": [True]}, "'bg_consistency' should be a list with one entry per turn"),
        ({"bg_consistency": [1, True, True]}, "'bg_consistency' should be true or false in turn 1"),
        ({"unchanged_objects": [[], [3], []]}, "'unchanged_objects' should hold lists of names"),
        ({"all_objects": None}, "'all_objects' should be a list with one entry per turn"),
    ],
)
def test_a_malformed_record_is_named(tmp_path, change, says):
    path = write(tmp_path, "cu.jsonl", CU, CU | change)
    with pytest.raises(BadData, match=f"cu.jsonl:2: {says}"):
        catalogue.load("mice", path=path)


def test_the_sandbox_sessions_load_with_their_gold_and_pictures(tmp_path):
    write_sessions(tmp_path / "m", 10, seed=7)
    bench = catalogue.load("mice", path=str(tmp_path / "m"))
    assert len(bench) == 10
    by_id = {s.id: s for i in range(60) if in_mice(s := make_session("test", 7, i))}
    sources = {tuple(s.image.tobytes() for s in session.turns[:1]): session for session in by_id.values()}
    for i in range(10):
        unit = bench.unit(i)
        session = sources[(unit[0].image.tobytes(),)]
        assert [t.gold[:1] for t in unit] == [s.gold for s in session.turns]
        for turn, sample in zip(unit, session.turns, strict=True):  # with what the rule does, where there is one
            assert apply_edits(sample.before, turn.gold) == sample.after
        assert [t.request for t in unit[1:]] == [s.request for s in session.turns[1:]]
        assert {t.kind for t in unit} == {session.turns[0].kind}
        assert (unit[0].facts["rule"] is None) == (session.rule is None)
    assert len(catalogue.load("mice", path=str(tmp_path / "m"), samples=3)) == 3


@pytest.mark.skipif(not os.environ.get(ENV), reason=f"{ENV} is not set: it names the folder of the published records")
def test_the_real_records_as_text():
    sessions, left_out = read_sessions(find_folder(), "all")
    mice = MiceText()
    assert {s.category for s in sessions} == {"cm", "cu"} and all(len(s.turns) == 3 for s in sessions)
    mapped = sum(t.gold is not None for s in sessions for t in s.turns)
    assert mapped == len(mice) and sum(left_out.values()) == 2  # the two leaked monologues
    assert all((s.rule is not None) == (s.category == "cm") for s in sessions)
    assert all("/" not in s.image for s in sessions) and len({s.image for s in sessions}) == len(sessions)
    for session in sessions:
        changed = [t.task_type == "background_change" for t in session.turns]
        assert [t.bg_consistency for t in session.turns] == [not any(changed[: k + 1]) for k in range(3)]
        for turn in session.turns:
            assert set(turn.objects["unchanged_objects"]) <= set(turn.objects["all_objects"])
    if not (find_folder() / "source_image").exists():
        with pytest.raises(MissingFile, match="there is no picture"):
            catalogue.load("mice", split="all", samples=1)
