"""Folders, patterns and tables of pictures: every picture once, every result under a name of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadData, BadInput, MissingFile
from experiments.editing.listing import from_table, is_several, named, one_instruction, pictures_in

FILES = st.lists(st.sampled_from(["a.png", "a.jpg", "a-2.png", "b.png", "d/a.png", "a_png.png", ".png"]), max_size=12)


@given(files=FILES)
def test_results_have_names_of_their_own(files: list[str]) -> None:
    works = named([(Path(file), f"{k}") for k, file in enumerate(files)])
    assert [(str(w.image), w.instruction) for w in works] == [(file, f"{k}") for k, file in enumerate(files)]
    assert len({w.name for w in works}) == len(works) and all(w.name and "/" not in w.name for w in works)
    assert works == named([(Path(file), f"{k}") for k, file in enumerate(files)])
    if len(set(files)) == len(files) == len({Path(f).stem for f in files}):
        assert [w.name for w in works] == [Path(f).stem for f in files]


def test_a_folder_a_pattern_and_one_picture(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "note.txt", "sub/c.png", "x[1].png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    folder = str(tmp_path)
    assert [p.name for p in pictures_in(folder)] == ["a.jpg", "b.PNG", "x[1].png"]
    assert [p.name for p in pictures_in(f"{folder}/*.txt")] == ["note.txt"]
    assert [p.name for p in pictures_in(f"{folder}/**/*.png")] == ["c.png", "x[1].png"]
    assert is_several(folder, None) and is_several(f"{folder}/*.png", None) and is_several(None, "t.csv")
    assert (
        not is_several(f"{folder}/x[1].png", None) and not is_several("none.png", None) and not is_several(None, None)
    )
    assert {w.instruction for w in one_instruction(folder, "x")} == {"x"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="has no pictures"):
        pictures_in(f"{folder}/empty")
    with pytest.raises(BadInput, match="no file has such a name"):
        pictures_in(f"{folder}/*.tiff")


def test_a_table_names_files_beside_it_or_in_a_folder(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        'file,instruction\na.png,"make it red, please"\nsub/b.png,把星星变红\na.png,again\n', encoding="utf-8"
    )
    works = from_table(str(table), None, 1000)
    assert [(w.image, w.instruction, w.name) for w in works] == [
        (tmp_path / "a.png", "make it red, please", "a"),
        (tmp_path / "sub/b.png", "把星星变红", "b"),
        (tmp_path / "a.png", "again", "a-2"),
    ]
    (tmp_path / "pictures").mkdir()
    assert from_table(str(table), str(tmp_path / "pictures"), 1000)[0].image == tmp_path / "pictures" / "a.png"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,what\na.png,x\n", "t.csv:2: the columns are file, what"),
        ("file,instruction\na.png,\n", "t.csv:2: file and instruction are both needed"),
        ("file,instruction\na.png, \u200b \n", "t.csv:2.*(empty|needed)"),
        ("file,instruction\n", "nothing is left"),
    ],
)
def test_a_bad_table_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match=said):
        from_table(str(tmp_path / "t.csv"), None, 1000)
    with pytest.raises(MissingFile, match="no table"):
        from_table(str(tmp_path / "none.csv"), None, 1000)
