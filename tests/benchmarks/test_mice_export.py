"""The sandbox's sessions as MICE records: every turn reads back to its gold, and the files are of the published schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from benchmarks.base import Edit
from benchmarks.mice import MiceText
from benchmarks.mice_gold import gold_edit
from benchmarks.mice_sessions import MiceSessions
from benchmarks.sandbox.__main__ import main
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import make_session
from benchmarks.sandbox.mice_export import TASKS, formatted, in_mice, record, write_sessions
from benchmarks.sandbox.scene import Scene, Thing
from common.errors import BadInput, ImageEditError
from experiments.build.benchmarks import MiceTextBenchmark
from judges.sandbox import SandboxJudge

KEYS = [
    "image",
    "instruction",
    "task_type",
    "formatted_instruction",
    "bg_consistency",
    "unchanged_objects",
    "available_objects",
    "all_objects",
    "turns",
]


def sessions(count: int, split: str = "test"):
    return [s for i in range(3 * count) if in_mice(s := make_session(split, 5, i))][:count]


def test_every_turn_reads_back_to_the_sandbox_gold():
    result = set()
    for session in sessions(60):
        row = record(session)
        for sample, task, text in zip(session.turns, row["task_type"], row["formatted_instruction"], strict=True):
            assert (gold_edit(task, text),) == sample.gold
            result.add(sample.gold[0].action)
    assert result == {"add", "remove", "replace", "recolor", "material", "move", "count"}  # what sessions draw


def test_gold_and_the_rules_edit_lead_from_each_picture_to_the_next():
    ruled = 0
    for session in sessions(60):
        row = record(session)
        assert ("rule_edit" in row) == (session.rule is not None)
        scene = session.turns[0].before
        for k, sample in enumerate(session.turns):
            edits = [gold_edit(row["task_type"][k], row["formatted_instruction"][k])]
            if row.get("rule_edit", [None] * 3)[k]:
                edits.append(Edit(*row["rule_edit"][k]))
                ruled += 1
            scene = apply_edits(scene, edits)
            assert scene == sample.after
    assert ruled > 20


@pytest.mark.parametrize(
    "edit",
    [
        Edit("text", "image", "HELLO"),
        Edit("text", "red square", "XY"),
        Edit("text", "blue circle", "XY"),
        Edit("background", "background", "snow"),
        Edit("add", "small striped red circle"),
        *(Edit(a, "red square", f"{r} blue circle") for a in ("add", "move") for r in ("left of", "right of", "above")),
        Edit("move", "red square", "below blue circle"),
    ],
)
def test_forms_that_sessions_do_not_draw_read_back_too(edit):
    scene = Scene("sky", (Thing("square", "red", (0, 0), label="AB"), Thing("circle", "blue", (1, 1))))
    assert gold_edit(*formatted(edit, scene)) == edit


@pytest.mark.parametrize("edit", [Edit("zoom", "image", "center"), Edit("move", "red square", "top left")])
def test_what_mice_has_no_words_for_is_refused(edit):
    with pytest.raises(BadInput, match="MICE-Bench has no"):
        formatted(edit, Scene("sky", (Thing("square", "red", (1, 1)),)))
    assert edit.action == "move" or edit.action not in TASKS
    skipped = [s for i in range(40) if not in_mice(s := make_session("test", 5, i))]
    assert skipped  # some sessions do have such a place
    with pytest.raises(BadInput, match="no words for"):
        record(skipped[0])


def test_objects_and_background_flags_are_worked_out_from_the_scenes():
    for session in sessions(40):
        row = record(session)
        source = {t.name: t for t in session.turns[0].before.things}
        for k, sample in enumerate(session.turns):
            after = {t.name: t for t in sample.after.things}
            assert row["available_objects"][k] == list(after)
            assert set(row["unchanged_objects"][k]) == {n for n in source if after.get(n) == source[n]}
            assert set(source) | set(after) <= set(row["all_objects"][k])
            assert len(set(row["all_objects"][k])) == len(row["all_objects"][k])
            assert row["bg_consistency"][k] is True  # sessions keep their background


def test_files_are_of_the_published_schema(tmp_path):
    assert write_sessions(tmp_path / "m", 9, seed=3) == {"cm": 5, "cu": 4}
    for category, count in (("cm", 5), ("cu", 4)):
        rows = [json.loads(line) for line in (tmp_path / "m" / f"{category}_sandbox.jsonl").open(encoding="utf-8")]
        assert len(rows) == count
        for row in rows:
            assert list(row) == [*KEYS, "origin", *(["rule_edit"] if category == "cm" else [])] and row["turns"] == 3
            assert all(len(row[key]) == 3 for key in KEYS[1:-1])
            with Image.open(tmp_path / "m" / row["image"]) as picture:
                assert picture.size == (64, 64) and picture.mode == "RGB"
            said = [word for text in row["instruction"][1:] for word in text.lower().split()]
            if category == "cm":
                assert row["instruction"][0].count("With this rule active, ") == 1
                assert "active" not in said
            else:
                assert "rule active" not in " ".join(row["instruction"])


def test_mice_text_loads_them_whole(tmp_path):
    write_sessions(tmp_path / "m", 12, seed=1)
    mice = MiceText(tmp_path / "m")
    assert mice.report["mapped"] == {"cm": 18, "cu": 18} and mice.report["unmapped"] == {}
    assert {s.rule is None for s in mice.sessions if s.turns[0].kind == "cm"} == {False}
    assert {s.rule is None for s in mice.sessions if s.turns[0].kind == "cu"} == {True}


def test_the_picture_is_the_scene_the_gold_was_made_for(tmp_path):
    write_sessions(tmp_path / "m", 4, seed=2)
    rows = [json.loads(line) for f in sorted((tmp_path / "m").glob("*.jsonl")) for line in f.open(encoding="utf-8")]
    by_image = {f"source_image/{s.id}.png": s for i in range(40) if in_mice(s := make_session("test", 2, i))}
    judge = SandboxJudge()
    for row in rows:
        first = by_image[row["image"]].turns[0]
        picture = Image.open(tmp_path / "m" / row["image"])
        assert ImageChops.difference(picture, first.image).getbbox() is None
        assert apply_edits(first.before, first.gold) != first.before
        # the gold read back from the record is what the exact judge wants to see
        gold = gold_edit(row["task_type"][0], row["formatted_instruction"][0])
        if first.rule is None:
            assert judge.judge(picture, first.target, (gold,)).scores["request_fulfilled"] == 10


def test_same_arguments_same_bytes_and_never_over_something(tmp_path):
    write_sessions(tmp_path / "a", 5, seed=4)
    write_sessions(tmp_path / "b", 5, seed=4)
    write_sessions(tmp_path / "c", 5, seed=6)

    def content(name):
        return {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}

    assert content("a") == content("b") != content("c")
    with pytest.raises(BadInput, match="holds something already"):
        write_sessions(tmp_path / "a", 5)


def test_the_command_line(tmp_path, capsys):
    main(["mice", f"out={tmp_path / 'm'}", "n=2", "size=48", "turns=2"])
    assert "1 CM and 1 CU sessions of 2 turns" in capsys.readouterr().out
    assert len(MiceText(tmp_path / "m")) == 4
    main(["show", "n=2", "size=48", f"out={tmp_path / 'grid.png'}"])
    assert (tmp_path / "grid.png").exists()
    for words in (
        [],
        ["draw"],
        ["mice", "n"],
        ["mice", "n=x"],
        ["mice", "sise=3"],
        ["mice", "n=0"],
        ["show", "n=0"],
        ["mice", "size=47"],
        ["show", "size=47"],
    ):
        with pytest.raises(ImageEditError):
            main(words)
    with pytest.raises(BadInput, match="unknown split"):
        main(["mice", "split=dev", f"out={tmp_path / 'x'}"])


def test_the_sandboxs_own_sessions_are_never_called_mice_bench(tmp_path: Path) -> None:
    """By their own mark, whatever the files are called; published records keep the paper's card and say where they lay."""
    write_sessions(tmp_path / "own", 2)
    (tmp_path / "own" / "cm_sandbox.jsonl").rename(tmp_path / "own" / "cm_renamed.jsonl")
    card = MiceSessions(name="mice", path=str(tmp_path / "own")).build().card
    assert card.data == "sandbox sessions" and card.title == "Sandbox sessions in MICE-Bench's format"
    assert card.paper == "" and card.read == str(tmp_path / "own") and "2 sessions were read" in card.size
    text = MiceTextBenchmark(name="mice_text", path=str(tmp_path / "own")).described()
    assert text.data == "sandbox sessions, text" and text.paper == ""
    for file in (tmp_path / "own").glob(
        "*.jsonl"
    ):  # the same records without the mark: nothing says that they are not published
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        marked = ("origin", "rule_edit")
        published = [{k: v for k, v in row.items() if k not in marked} for row in rows]
        file.with_name(file.name[:2] + "_x.jsonl").write_text("".join(json.dumps(r) + "\n" for r in published))
        file.unlink()
    card = MiceSessions(name="mice", path=str(tmp_path / "own")).build().card
    assert card.title == "MICE-Bench (Edit-R2)" and card.data == "" and "arXiv 2606.05950" in card.paper
