"""UltraEdit: splits picked by the seed, equally many rows of each, split, row and idx in the ids."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks import ultraedit
from benchmarks.catalogue import load
from common.errors import BadData, MissingFile
from tests import published
from tests.benchmarks.conftest import Hub

pytestmark = pytest.mark.usefixtures("cache")


def test_rows_keep_split_row_idx_captions_and_reference(tmp_path: Path, opened: list[str]) -> None:
    result = load("ultraedit", path=str(published.write_ultraedit(tmp_path, splits=3, rows=4)))
    items = [result.unit(i)[0] for i in range(len(result))]
    assert opened == []
    assert [i.id for i in items] == [
        f"ultraedit-FreeForm_{s}-{r:05d}-idx{100 * s + r}" for s in range(3) for r in range(4)
    ]
    one = items[6]  # split 1, row 2
    assert one.request == "make 1 2 a painting"
    assert one.facts == {
        "split": "FreeForm_1",
        "row": 2,
        "idx": 102,
        "source_caption": "a photo of 1 and 2",
        "target_caption": "a painting of 1 and 2",
    }
    assert one.image is not None and published.shown(one.image) == (12, "source")
    assert one.reference is not None and published.shown(one.reference()) == (12, "edited")


def test_a_sample_takes_equally_many_rows_of_every_split(tmp_path: Path) -> None:
    path = str(published.write_ultraedit(tmp_path, splits=3, rows=6))
    result = load("ultraedit", path=path, samples=9, seed=5)
    items = [result.unit(i)[0] for i in range(len(result))]
    assert Counter(i.facts["split"] for i in items) == {"FreeForm_0": 3, "FreeForm_1": 3, "FreeForm_2": 3}
    again = load("ultraedit", path=path, samples=9, seed=5)
    assert [again.unit(i)[0].id for i in range(9)] == [i.id for i in items]
    rows = [{i.facts["row"] for i in items if i.facts["split"] == f"FreeForm_{s}"} for s in range(3)]
    assert not rows[0] == rows[1] == rows[2]  # each split is drawn from on its own


def test_from_the_hub_only_the_splits_picked_are_read(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ultraedit, "SPLITS_TAKEN", 2)
    hub.sets["BleachNick/UltraEdit"] = published.write_ultraedit(tmp_path / "u", splits=12, rows=2)
    result = load("ultraedit", samples=3, seed=0)
    picked = result.card.split.split(", ")
    assert {c["split"] for c in hub.calls} == set(picked) and len(picked) == 2
    assert {c["data_files"][c["split"]][0] for c in hub.calls} == {f"data/{s}-*" for s in picked}
    assert picked == sorted(picked, key=lambda s: int(s.split("_")[1]))  # FreeForm_2 before FreeForm_10
    assert len(result) == 3 and hub.asked == [("BleachNick/UltraEdit", None)]  # one commit for all splits
    assert load("ultraedit", samples=3, seed=1).card.split != result.card.split
    named = load("ultraedit", split="FreeForm_3, FreeForm_7")
    assert named.card.split == "FreeForm_3, FreeForm_7" and len(named) == 4


def test_the_one_split_of_the_500k_set_is_free_form_too(hub: Hub, tmp_path: Path) -> None:
    rows = published.write_ultraedit(tmp_path / "a", splits=1, rows=3)
    (rows / "data" / "FreeForm_0-00000-of-00001.parquet").rename(rows / "data" / "FreeForm-00000-of-00001.parquet")
    hub.sets["BleachNick/UltraEdit_500k"] = rows
    result = load("ultraedit", hub="BleachNick/UltraEdit_500k", samples=2)
    assert result.card.split == "FreeForm" and len(result) == 2


def test_a_folder_without_free_form_splits_and_a_wrong_schema_are_said(tmp_path: Path) -> None:
    published.write_psr(tmp_path / "psr")
    published.write(tmp_path / "psr", published.psr_rows(1, 1), published.PSR, "train")
    with pytest.raises(MissingFile, match=r"no FreeForm_\* split among test, train"):
        load("ultraedit", path=str(tmp_path / "psr"))
    published.write(tmp_path / "u", published.psr_rows(1, 1), published.PSR, "FreeForm_0")
    with pytest.raises(BadData, match="no column 'edit_prompt', no 'edited_image'"):
        load("ultraedit", path=str(tmp_path / "u"))
