"""ImgEdit-Bench from a Benchmark folder as it is published: basic, UGE and multi-turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import catalogue
from benchmarks.imgedit import TYPES
from common.errors import BadData, BadInput, MissingFile

BASIC = {
    "1082": {"id": "animal/1.jpg", "prompt": "Make the shell smooth.", "edit_type": "alter"},
    "673": {"id": "style/2.jpg", "prompt": "Make it a woodblock print.", "edit_type": "style"},
    "1149": {"id": "compose/human/3.jpg", "prompt": "Remove the box, brighten the scene.", "edit_type": "hybrid"},
}
UGE = {"1": {"id": "9.jpg", "prompt": "Swap the slice for an orange."}, "2": {"id": "8.jpg", "prompt": "Empty it."}}
MEMORY = {"1": {"id": "5.jpg", "turn1": "From now on green: add dots", "turn2": "Replace it", "turn3": "Recolour it"}}
BACK = {"7": {"id": "6.jpg", "turn1": "Add a hat", "turn2": "Undo that"}}


def picture(file: Path, size: tuple[int, int] = (8, 6)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 9, 9)).save(file)


def write(file: Path, content: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content) if not isinstance(content, str) else content, encoding="utf-8")
    return file


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "Benchmark"
    write(root / "Basic" / "basic_edit.json", BASIC)
    write(root / "UGE" / "UGE_edit.json", UGE)
    write(root / "multiturn" / "content_memory" / "annotation.json", MEMORY)
    write(root / "multiturn" / "version_backtrace" / "annotation.json", BACK)
    for k, row in enumerate(BASIC.values()):
        picture(root / "singleturn" / row["id"], (8 + k, 6))
    for row in UGE.values():
        picture(root / "hard" / row["id"])
    picture(root / "multiturn" / "content_memory" / "5.jpg", (5, 5))
    picture(root / "multiturn" / "version_backtrace" / "6.jpg", (6, 6))
    return root


def test_basic_types_go_by_their_present_names(folder):
    bench = catalogue.load("imgedit", path=str(folder))
    items = [bench.unit(i)[0] for i in range(len(bench))]
    assert [(i.id, i.kind, i.facts["edit_type"]) for i in items] == [
        ("basic/1082", "adjust", "adjust"),
        ("basic/673", "style", "style"),
        ("basic/1149", "compose", "compose"),
    ]
    assert items[2].request == "Remove the box, brighten the scene." and items[2].image.size == (10, 6)
    assert bench.card.mean == "macro" and bench.card.rubric == "imgedit" and len(TYPES) == 9
    assert len(catalogue.load("imgedit", path=str(folder.parent))) == 3  # the folder above is found as well
    assert len(catalogue.load("imgedit", path=str(folder), samples=2)) == 2


def test_uge_is_one_of_its_own(folder):
    bench = catalogue.load("imgedit", path=str(folder), protocol="uge")
    assert [bench.unit(i)[0].id for i in range(len(bench))] == ["uge/1", "uge/2"]
    assert bench.unit(0)[0].kind == bench.unit(0)[0].facts["edit_type"] == "uge"
    assert bench.card.split == "uge" and bench.card.mean == "micro"


def test_multi_turn_sessions_of_two_and_three_turns(folder):
    bench = catalogue.load("imgedit", path=str(folder), protocol="multi")
    memory, back = (bench.unit(i) for i in range(len(bench)))
    assert [t.turn for t in memory] == [0, 1, 2] and [t.turn for t in back] == [0, 1]
    assert memory[2].history == ("From now on green: add dots", "Replace it")
    assert {t.session for t in memory} == {"multi/content_memory/1"} and memory[1].id == "multi/content_memory/1/2"
    assert back[1].subsets == ("all", "version_backtrace") and back[1].image.size == (6, 6)
    assert bench.card.rubric == "paper" and "2 sessions" in bench.card.sampling


def test_a_missing_picture_or_file_is_named_with_how_to_get_it(folder, tmp_path):
    (folder / "singleturn" / "style" / "2.jpg").unlink()
    with pytest.raises(MissingFile, match="record '673': there is no picture 'style/2.jpg'.*Benchmark.tar"):
        catalogue.load("imgedit", path=str(folder))
    (folder / "hard" / "9.jpg").write_bytes(b"no picture")
    with pytest.raises(BadData, match=r"record '1': .*9.jpg: not a readable picture"):
        _ = catalogue.load("imgedit", path=str(folder), protocol="uge").unit(0)[0].image
    for protocol in ("basic", "uge", "multi"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(MissingFile, match="sysuyy/ImgEdit"):
            catalogue.load("imgedit", path=str(tmp_path / "empty"), protocol=protocol)
    with pytest.raises(MissingFile, match="give benchmark.path"):
        catalogue.load("imgedit")
    with pytest.raises(BadInput, match="benchmark.protocol=hard is unknown; choose one of basic, uge, multi"):
        catalogue.load("imgedit", path=str(folder), protocol="hard")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "no JSON file"),
        ("[" * 100_000, "no JSON file"),
        ("{}", "should hold an object or a list of records"),
        ({"1": 3}, "record '1' should be an object but is int"),
        ({"1": {"id": "animal/1.jpg", "prompt": "x"}}, "record '1' has no 'edit_type'; it has id, prompt"),
        ({"1": {"id": "animal/1.jpg", "prompt": 4, "edit_type": "add"}}, "'prompt' should be text but is 4"),
        ({"1": {"id": "animal/1.jpg", "prompt": "", "edit_type": "add"}}, "has no 'prompt'"),
        ({"1": {"id": "animal/1.jpg", "prompt": "x", "edit_type": "fix"}}, "edit_type 'fix' is none of replace, add"),
    ],
)
def test_a_wrong_record_is_named(folder, content, says):
    write(folder / "Basic" / "basic_edit.json", content)
    with pytest.raises(BadData, match=says):
        catalogue.load("imgedit", path=str(folder))


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.jpg"])
def test_a_picture_outside_the_folder_is_refused(folder, name):
    write(folder / "Basic" / "basic_edit.json", {"1": {"id": name, "prompt": "x", "edit_type": "add"}})
    with pytest.raises(BadInput, match="leads out of the data's folder"):
        catalogue.load("imgedit", path=str(folder))


def test_turns_with_a_gap_are_refused(folder):
    write(
        folder / "multiturn" / "content_memory" / "annotation.json", {"1": {"id": "5.jpg", "turn1": "a", "turn3": "b"}}
    )
    with pytest.raises(BadData, match="should have turn1, turn2"):
        catalogue.load("imgedit", path=str(folder), protocol="multi")
