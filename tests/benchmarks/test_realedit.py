"""RealEdit: the authors' CSV and tables under the names assumed for the Hub's columns."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from datasets import Features

from benchmarks.catalogue import load
from common.errors import BadData, MissingFile
from tests import published

pytestmark = pytest.mark.usefixtures("cache")


def test_the_csv_of_the_inference_script_is_read(tmp_path: Path, opened: list[str]) -> None:
    result = load("realedit", path=str(published.write_realedit(tmp_path, rows=6)))
    items = [result.unit(i)[0] for i in range(6)]
    assert opened == []
    assert [i.request for i in items] == [f"Please, fix number {r}" for r in range(6)]
    assert [published.shown(i.image)[0] for i in items if i.image] == list(range(6))
    assert items[4].id == "realedit-00004" and items[4].reference is None
    assert any("input_image = input_image_name" in n for n in result.card.notes)


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [("instruction", "input_image", "output_image"), ("edit_prompt", "source_image", "edited_image")],
)
def test_the_names_assumed_for_the_hub_are_accepted(text: str, source: str, target: str, tmp_path: Path) -> None:
    features = Features({text: published.TEXT, source: datasets.Image(), target: datasets.Image()})
    rows = [
        {
            text: f"r{r}",
            source: published.png(published.picture(r)),
            target: published.png(published.picture(r, "human")),
        }
        for r in range(4)
    ]
    path = str(published.write(tmp_path, rows, features, "test"))
    item = load("realedit", path=path, protocol="human").unit(2)[0]
    assert item.request == "r2" and item.image is not None and published.shown(item.image) == (2, "source")
    assert item.reference is not None and published.shown(item.reference()) == (2, "human")
    assert load("realedit", path=path).unit(2)[0].reference is None


def test_a_sample_keeps_the_row_in_the_id(tmp_path: Path) -> None:
    path = str(published.write_realedit(tmp_path, rows=30))
    result = load("realedit", path=path, samples=8, seed=1)
    again = load("realedit", path=path, samples=8, seed=1)
    items = [result.unit(i)[0] for i in range(8)]
    assert [i.id for i in items] == [again.unit(i)[0].id for i in range(8)]
    assert all(i.request == f"Please, fix number {int(i.id[-5:])}" for i in items)
    assert len(result) == 8 and "8 of 30 requests" in result.card.sampling


def test_missing_pictures_columns_and_references_are_said(tmp_path: Path) -> None:
    path = published.write_realedit(tmp_path, rows=3)
    with pytest.raises(BadData, match="no column 'output_image' or 'output_image_name'"):
        load("realedit", path=str(path), protocol="human")
    (path / "images" / "1.png").unlink()
    with pytest.raises(MissingFile, match=r"row 1, column 'input_image_name': there is no picture 1\.png"):
        load("realedit", path=str(path))
    (path / "test.csv").write_text("input_image_name,what\n0.png,x\n")
    with pytest.raises(BadData, match="no column 'instruction' or 'edit_instruction'.*it has input_image_name, what"):
        load("realedit", path=str(path))
