"""Emu Edit: the task is the kind, the captions are in the facts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.catalogue import load
from common.errors import BadData
from tests import published

pytestmark = pytest.mark.usefixtures("cache")


def test_rows_in_their_order_with_task_and_captions(tmp_path: Path, opened: list[str]) -> None:
    result = load("emu_edit", path=str(published.write_emu_edit(tmp_path, rows=5)))
    items = [result.unit(i)[0] for i in range(5)]
    assert opened == []
    assert [i.kind for i in items] == ["add", "remove", "local", "text", "add"]
    assert items[3].id == "emu_edit-test-00003" and items[3].request == "edit 3"
    assert items[3].facts == {"row": 3, "idx": 53, "source_caption": "before 3", "target_caption": "after 3"}
    assert items[3].image is not None and published.shown(items[3].image) == (3, "source")
    assert items[3].reference is None


def test_rows_whose_captions_are_the_same_are_counted(tmp_path: Path) -> None:
    card = load("emu_edit", path=str(published.write_emu_edit(tmp_path, rows=5))).card
    assert any(n.startswith("1 of 5 rows have the same caption") for n in card.notes)


def test_samples_and_schema(tmp_path: Path) -> None:
    path = str(published.write_emu_edit(tmp_path / "a", rows=9))
    result = load("emu_edit", path=path, samples=4, seed=2)
    assert [int(result.unit(i)[0].request.split()[1]) == result.unit(i)[0].facts["row"] for i in range(4)] == [True] * 4
    features = published.Features({k: f for k, f in published.EMU_EDIT.items() if k != "task"})
    rows = [{k: None for k in features}]
    with pytest.raises(BadData, match="no column 'task'"):
        load("emu_edit", path=str(published.write(tmp_path / "b", rows, features, "test")))
